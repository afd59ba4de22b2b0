/** What of the emulator no client of this project speaks to, asked over the bare protocols. */

/** How much there is of what a stack makes. */
export async function countResources(endpointUrl: string): Promise<Record<string, number>> {
  const get = async (path: string) => (await fetch(`${endpointUrl}${path}`)).json() as Promise<never>;
  const query = async (service: string, action: string, element: RegExp) => {
    const body = new URLSearchParams({ Action: action, Version: '2010-08-01' });
    const response = await fetch(endpointUrl, { method: 'POST', headers: headers(service), body });
    return (await response.text()).match(element)?.length ?? 0;
  };
  const call = (service: string, target: string) => callJson<never>(endpointUrl, service, target);
  const { Keys } = (await call('kms', 'TrentService.ListKeys')) as { Keys: unknown[] };
  const { Functions } = (await get('/2015-03-31/functions')) as { Functions: unknown[] };
  const { EventSourceMappings } = (await get('/2015-03-31/event-source-mappings')) as {
    EventSourceMappings: unknown[];
  };
  const { logGroups } = (await call('logs', 'Logs_20140328.DescribeLogGroups')) as { logGroups: unknown[] };
  const { Rules } = (await call('events', 'AWSEvents.ListRules')) as { Rules: unknown[] };
  return {
    keys: Keys.length,
    functions: Functions.length,
    mappings: EventSourceMappings.length,
    logGroups: logGroups.length,
    topics: await query('sns', 'ListTopics', /<TopicArn>/g),
    alarms: await query('monitoring', 'DescribeAlarms', /<AlarmName>/g),
    rules: Rules.length,
  };
}

/** The lines of a log group that are JSON objects, oldest first. */
export async function readLog(endpointUrl: string, logGroupName: string): Promise<Record<string, unknown>[]> {
  const { events } = await callJson<{ events: { message: string }[] }>(
    endpointUrl,
    'logs',
    'Logs_20140328.FilterLogEvents',
    { logGroupName },
  );
  return events
    .map(({ message }) => message.trim())
    .filter((message) => message.startsWith('{'))
    .map((message) => JSON.parse(message) as Record<string, unknown>);
}

async function callJson<T>(
  endpointUrl: string,
  service: string,
  target: string,
  input: object = {},
): Promise<T> {
  const response = await fetch(endpointUrl, {
    method: 'POST',
    headers: headers(service, target),
    body: JSON.stringify(input),
  });
  return (await response.json()) as T;
}

/** Emulators tell services apart by what a signature would say. */
function headers(service: string, target?: string): Record<string, string> {
  return {
    Authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
    ...(target && { 'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': target }),
  };
}
