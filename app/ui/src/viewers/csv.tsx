/* CSV and TSV as a table. */

import type { JSX } from 'preact';
import { Cut, part, sizeWord, Status, TABLE_ROWS, TEXT_MAX, textOf, useFile, type ViewerProps } from './frame';
import Sheet from './sheet';
import { work } from './tasks';

export default function Csv(props: ViewerProps): JSX.Element {
	const state = useFile(props, async (abort) => {
		const p = await part(props.run, props.path, 0, TEXT_MAX, abort);
		const data = await work('csv', { text: textOf(p), separator: /\.tsv$/i.test(props.path) ? '\t' : undefined, whole: p.whole, most: TABLE_ROWS }, p.bytes.length, abort);
		return { data, cut: p.whole ? '' : `Read: the first ${sizeWord(p.bytes.length)} of ${sizeWord(p.total)}. Download the file for the rest.` };
	});
	return (
		<>
			<Status of={state} />
			{state.value?.cut && <Cut>{state.value.cut}</Cut>}
			{state.value && (state.value.data.columns.length ? <Sheet data={state.value.data} /> : <p class="muted">The file is empty.</p>)}
		</>
	);
}
