/** A queue's name: the last part of its URL or ARN. */
export function queueName(urlOrArn: string): string {
  return /[^/:]*(?=\/?$)/.exec(urlOrArn)![0];
}
