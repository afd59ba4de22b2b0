/** Shows a line of figures beside the results of the tests. @param figures never a value of an event */
export function tell(figures: string): void {
  process.stdout.write(`       ${figures}\n`);
}
