import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';
import type { SQSMessageAttribute, SQSMessageAttributes, SQSRecord } from 'aws-lambda';

/** A message as Lambda passes it on. @see https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
export function toRecord(message: Message): SQSRecord {
  return {
    messageId: message.MessageId!,
    receiptHandle: message.ReceiptHandle!,
    body: message.Body ?? '',
    attributes: { ...message.Attributes } as unknown as SQSRecord['attributes'],
    messageAttributes: toAttributes(message),
    md5OfBody: message.MD5OfBody ?? '',
    eventSource: 'aws:sqs',
    eventSourceARN: '',
    awsRegion: '',
  };
}

/** Whether the SDK has lost the value of an attribute, as it does where its name is that of an object's prototype. */
export function hasUnreadableAttribute(message: Message): boolean {
  return attributesOf(message).some(([, value]) => value === undefined);
}

function attributesOf({ MessageAttributes = {} }: Message): [string, MessageAttributeValue | undefined][] {
  return Object.entries(MessageAttributes);
}

/** Without those that cannot be read. */
function toAttributes(message: Message): SQSMessageAttributes {
  return Object.fromEntries(
    attributesOf(message).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, toAttribute(value)]],
    ),
  );
}

function toAttribute({ StringValue, BinaryValue, DataType }: MessageAttributeValue): SQSMessageAttribute {
  return {
    dataType: DataType ?? 'String',
    ...(StringValue === undefined ? {} : { stringValue: StringValue }),
    ...(BinaryValue === undefined ? {} : { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
  };
}
