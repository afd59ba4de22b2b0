import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach } from 'vitest';

/** What the proxy does with a call instead of passing it on. */
export type Intercepted =
  /** Never answers. */
  | 'hang'
  /** Answers with that error of SQS. */
  | { readonly error: string }
  /** Answers that. */
  | { readonly answer: object };

/** A call, as far as tests look at it. */
export interface Request {
  readonly QueueUrl: string;
  /** Of a batch. */
  readonly Entries?: readonly { readonly Id: string }[];
}

/** @param action as in `ReceiveMessage` @returns undefined for a call that is passed on */
export type Intercept = (action: string, request: Request) => Intercepted | undefined | Promise<undefined>;

/** The answer to a batch of which every entry has failed. */
export function allFailed({ Entries = [] }: Request): Intercepted {
  const Failed = Entries.map(({ Id }) => ({ Id, Code: 'InternalError', SenderFault: false }));
  return { answer: { Successful: [], Failed } };
}

/** An endpoint before an SQS endpoint, gone after the test. @returns its URL */
export function useQueueProxies(): (endpointUrl: string, intercept: Intercept) => Promise<string> {
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
  });
  return async (endpointUrl, intercept) => {
    const server = createServer(
      (request, response) => void answer(request, response, endpointUrl, intercept),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stops.push(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  endpointUrl: string,
  intercept: Intercept,
): Promise<void> {
  const target = String(request.headers['x-amz-target']);
  const body = await buffer(request);
  const intercepted = await intercept(
    target.replace('AmazonSQS.', ''),
    JSON.parse(body.toString()) as Request,
  );
  if (intercepted === 'hang') return;
  response.setHeader('content-type', 'application/x-amz-json-1.0');
  if (intercepted !== undefined && 'answer' in intercepted) {
    response.end(JSON.stringify(intercepted.answer));
    return;
  }
  if (intercepted !== undefined) {
    response.writeHead(400).end(JSON.stringify({ __type: `com.amazonaws.sqs#${intercepted.error}` }));
    return;
  }
  const headers = { 'x-amz-target': target, 'content-type': 'application/x-amz-json-1.0' };
  const passed = await fetch(endpointUrl, { method: 'POST', headers, body: new Uint8Array(body) });
  response.writeHead(passed.status).end(await passed.text());
}
