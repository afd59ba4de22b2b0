/** A table of markdown: for each column its head and how its cells are made of the items. */
export function table<T>(
  items: readonly T[],
  columns: Readonly<Record<string, (item: T) => string>>,
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const heads = Object.keys(columns);
  const rows = items.map((item) => Object.values(columns).map((cell) => cell(item)));
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

/** `10,000` */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Two digits that count, three from 10 on. */
export function figure(value: number): string {
  return value >= 100
    ? count(Number(value.toPrecision(3)))
    : String(Number(value.toPrecision(value >= 10 ? 3 : 2)));
}

/** With cents, as long as they count. */
export function dollars(value: number): string {
  return value >= 100 ? figure(value) : value.toFixed(2);
}
