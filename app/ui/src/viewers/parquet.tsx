/* Parquet as a table of its first rows. */

import type { JSX } from 'preact';
import { part, Status, TABLE_ROWS, useFile, viewUrl, type ViewerProps } from './frame';
import Sheet from './sheet';
import { work } from './tasks';

export default function Parquet(props: ViewerProps): JSX.Element {
	const state = useFile(props, async (abort) => {
		const size = Number.isFinite(props.size) ? props.size : (await part(props.run, props.path, 0, 4, abort)).total;
		return work('parquet', { url: new URL(viewUrl(props.run, props.path), location.href).href, size, most: TABLE_ROWS }, size, abort);
	});
	return (
		<>
			<Status of={state} />
			{state.value && <Sheet data={state.value} name={props.path} />}
		</>
	);
}
