/* CSV and TSV as a table. */

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { readCSV } from '../charts/csv';
import { Cut, part, sizeWord, Status, TABLE_ROWS, TEXT_MAX, textOf, useFile, type ViewerProps } from './frame';
import Sheet, { type SheetData } from './sheet';

export default function Csv(props: ViewerProps): JSX.Element {
	const state = useFile(props, (abort) => part(props.run, props.path, 0, TEXT_MAX, abort));
	const p = state.value;
	const data = useMemo((): SheetData | null => {
		if (!p) return null;
		const sheet = readCSV(textOf(p), Infinity, /\.tsv$/i.test(props.path) ? '\t' : undefined);
		const [head = [], ...rows] = sheet.rows;
		/* The last row of a text cut by size may be half a row. */
		if (!p.whole) rows.pop();
		return { columns: head, rows: rows.slice(0, TABLE_ROWS), total: p.whole ? rows.length : NaN };
	}, [p]);
	return (
		<>
			<Status of={state} />
			{p && !p.whole && (
				<Cut>
					Read: the first {sizeWord(p.bytes.length)} of {sizeWord(p.total)}. Download the file for the rest.
				</Cut>
			)}
			{data && (data.columns.length ? <Sheet data={data} /> : <p class="muted">The file is empty.</p>)}
		</>
	);
}
