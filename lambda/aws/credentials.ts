/**
 * Lambda gives a function its credentials in environment variables, where the SDK's own chain looks first. In the bundle
 * this file takes the place of that chain, whose other sources, from SSO to configuration files, are 130 kB.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
 */
export {
  fromEnv as defaultProvider,
  fromEnv as fromNodeProviderChain,
} from '@aws-sdk/credential-provider-env';
