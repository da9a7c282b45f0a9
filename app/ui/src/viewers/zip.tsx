/* What is in a zip: the list at its end is read by range, not the file. */

import type { JSX } from 'preact';
import { part, sizeWord, Status, useFile, type ViewerProps } from './frame';
import { readZipList, zipEnd, type ZipEntry } from './zip-list';

const TAIL = 66_000; /* the end record and the longest comment a zip can have */
const LIST_MAX = 8_000_000;
const ROWS = 2000;

export default function Zip(props: ViewerProps): JSX.Element {
	const state = useFile(props, async (abort): Promise<ZipEntry[]> => {
		const total = Number.isFinite(props.size) ? props.size : (await part(props.run, props.path, 0, 4, abort)).total;
		const from = Math.max(0, total - TAIL);
		const tail = (await part(props.run, props.path, from, TAIL, abort)).bytes;
		const end = zipEnd(tail, from);
		if (end.at >= from) return readZipList(tail.subarray(end.at - from, end.at - from + end.size));
		if (end.size > LIST_MAX) throw new Error(`The archive's list alone has ${sizeWord(end.size)}.`);
		return readZipList((await part(props.run, props.path, end.at, end.size, abort)).bytes);
	});
	const entries = state.value;
	if (!entries) return <Status of={state} />;
	const files = entries.filter((e) => !e.name.endsWith('/'));
	return (
		<>
			<p class="muted small">
				{files.length > ROWS ? `First ${ROWS} of ` : ''}
				{files.length} {files.length === 1 ? 'file' : 'files'}, {sizeWord(files.reduce((n, e) => n + e.size, 0))} unpacked
			</p>
			<div class="view-sheet" tabIndex={0} role="region" aria-label="Files in the archive">
				<table class="plain">
					<thead>
						<tr>
							<th>Name</th>
							<th class="num">Size</th>
							<th class="num">Packed</th>
							<th>Changed</th>
						</tr>
					</thead>
					<tbody>
						{files.slice(0, ROWS).map((e) => (
							<tr key={e.name}>
								<td class="wrap">{e.name}</td>
								<td class="num" title={`${e.size} bytes`}>
									{sizeWord(e.size)}
								</td>
								<td class="num" title={`${e.packed} bytes`}>
									{sizeWord(e.packed)}
								</td>
								<td>{e.time}</td>
							</tr>
						))}
					</tbody>
				</table>
			</div>
		</>
	);
}
