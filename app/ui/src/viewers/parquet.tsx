/* Parquet as a table: the footer and the first row groups are read by range, never the whole file. */

import { gunzipSync } from 'fflate';
import { decompress } from 'fzstd';
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import type { JSX } from 'preact';
import { part, Status, TABLE_ROWS, useFile, type ViewerProps } from './frame';
import Sheet, { type SheetData } from './sheet';

const compressors = {
	GZIP: (input: Uint8Array, length: number) => gunzipSync(input, { out: new Uint8Array(length) }),
	ZSTD: (input: Uint8Array, length: number) => decompress(input, new Uint8Array(length)),
};

function cell(v: unknown): string | null {
	if (v === null || v === undefined) return null;
	if (v instanceof Date) return v.toISOString().replace('.000Z', 'Z');
	if (v instanceof Uint8Array) return `${v.length} bytes`;
	if (typeof v === 'object') return JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? String(x) : x));
	return String(v);
}

export default function Parquet(props: ViewerProps): JSX.Element {
	const state = useFile(props, async (abort): Promise<SheetData> => {
		const total = Number.isFinite(props.size) ? props.size : (await part(props.run, props.path, 0, 4, abort)).total;
		const file = {
			byteLength: total,
			slice: async (start: number, end = total) => {
				const { bytes } = await part(props.run, props.path, start, end - start, abort);
				return bytes.slice().buffer;
			},
		};
		const metadata = await parquetMetadataAsync(file);
		const schema = parquetSchema(metadata).children;
		const columns = schema.map((c) => c.element.name);
		const rows = await parquetReadObjects({
			file,
			metadata,
			rowStart: 0,
			rowEnd: Math.min(TABLE_ROWS, Number(metadata.num_rows)),
			compressors,
		});
		return {
			columns,
			types: schema.map((c) => (c.element.logical_type?.type ?? c.element.converted_type ?? c.element.type ?? '').toLowerCase()),
			rows: rows.map((r) => columns.map((c) => cell(r[c]))),
			total: Number(metadata.num_rows),
		};
	});
	return (
		<>
			<Status of={state} />
			{state.value && <Sheet data={state.value} name={props.path} />}
		</>
	);
}
