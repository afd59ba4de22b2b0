import type { Message } from '@aws-sdk/client-sqs';
import type { SQSMessageAttributes, SQSRecord } from 'aws-lambda';

/** A message as Lambda passes it on. @see https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
export function toRecord(message: Message): SQSRecord {
  const attributes: SQSMessageAttributes = {};
  for (const [name, { StringValue, BinaryValue, DataType }] of Object.entries(
    message.MessageAttributes ?? {},
  )) {
    attributes[name] = {
      dataType: DataType ?? 'String',
      ...(StringValue === undefined ? {} : { stringValue: StringValue }),
      ...(BinaryValue === undefined ? {} : { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
    };
  }
  return {
    messageId: message.MessageId!,
    receiptHandle: message.ReceiptHandle!,
    body: message.Body ?? '',
    attributes: { ...message.Attributes } as unknown as SQSRecord['attributes'],
    messageAttributes: attributes,
    md5OfBody: message.MD5OfBody ?? '',
    eventSource: 'aws:sqs',
    eventSourceARN: '',
    awsRegion: '',
  };
}
