/* A CSV text's first rows. */
import { readCSV } from '../../charts/csv';

export interface CsvTask {
	text: string;
	separator: string | undefined;
	/* false: the text was cut by size, and its last row may be half of one */
	whole: boolean;
	most: number;
}

export default function csv({ text, separator, whole, most }: CsvTask): { columns: string[]; rows: string[][]; total: number } {
	const [columns = [], ...rows] = readCSV(text, Infinity, separator).rows;
	if (!whole)
		rows.pop();
	return { columns, rows: rows.slice(0, most), total: whole ? rows.length : NaN };
}
