import type { CdkCustomResourceResponse, CloudFormationCustomResourceEvent } from 'aws-lambda';
import { type Deadline, deadlineOf, type InvocationClock } from './deadline.ts';
import { type Log, reportFailure } from './log.ts';

/** What CDK's provider framework passes on; nothing at all where a person invokes the function. */
export type ResourceEvent = Partial<
  Pick<CloudFormationCustomResourceEvent, 'RequestType' | 'ResourceProperties'> & {
    readonly PhysicalResourceId: string;
  }
>;

export type ResourceHandler = (
  event?: ResourceEvent | null,
  context?: InvocationClock,
) => Promise<CdkCustomResourceResponse>;

/** Attributes of the resource, for the template to use. */
export type ResourceData = Readonly<Record<string, string>>;

/**
 * An onEvent handler of CDK's provider framework. Create, update and an event without a type bring the resource up;
 * delete leaves everything as it is, so that no stack stays behind because of it.
 *
 * @param physicalId always the same, so that CloudFormation never replaces the resource
 * @returns a handler that throws VizardError: the deployment shows its message
 */
export function onEvent(
  physicalId: string,
  log: Log,
  bringUp: (properties: Readonly<Record<string, unknown>>, deadline: Deadline) => Promise<ResourceData>,
): ResourceHandler {
  return async (event, context) => {
    if (event?.RequestType === 'Delete')
      return { PhysicalResourceId: event.PhysicalResourceId ?? physicalId };
    try {
      const data = await bringUp(event?.ResourceProperties ?? {}, deadlineOf(context));
      return { PhysicalResourceId: physicalId, Data: data };
    } catch (error) {
      throw reportFailure(log, error);
    }
  };
}
