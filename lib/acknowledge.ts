import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Rule packs of cdk-nag that this project is held to, with what their rules' names begin with. */
const PACKS = { solutions: 'AwsSolutions::AwsSolutions', nist: 'NIST.800.53.R5::NIST.800.53.R5' };

/** A rule of a pack without the pack's name: `IAM5[Resource::*]`. */
export interface Acknowledged {
  readonly pack: keyof typeof PACKS;
  readonly rule: string;
  /** Why the finding is right as it is. */
  readonly reason: string;
}

/** Says why findings of cdk-nag below a construct are right as they are. */
export function acknowledge(scope: IConstruct, ...findings: readonly Acknowledged[]): void {
  for (const { pack, rule, reason } of findings) {
    Validations.of(scope).acknowledge({ id: `${PACKS[pack]}-${rule}`, reason });
  }
}

export const INLINE_POLICY: Acknowledged = {
  pack: 'nist',
  rule: 'IAMNoInlinePolicy',
  reason: 'The policy says what this one role may do; nobody else has it, and it goes with the role.',
};
