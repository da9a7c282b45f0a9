/* The first rows of a Parquet file: its footer and the row groups they lie in are read by range, never the whole file. */
import { gunzipSync } from 'fflate';
import { decompress } from 'fzstd';
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';

export interface ParquetTask {
	url: string;
	size: number;
	most: number;
}

export interface ParquetRows {
	columns: string[];
	types: string[];
	rows: (string | null)[][];
	total: number;
}

const compressors = {
	GZIP: (input: Uint8Array, length: number) => gunzipSync(input, { out: new Uint8Array(length) }),
	ZSTD: (input: Uint8Array, length: number) => decompress(input, new Uint8Array(length)),
};

function cell(v: unknown): string | null {
	if (v === null || v === undefined)
		return null;
	if (v instanceof Date)
		return v.toISOString().replace('.000Z', 'Z');
	if (v instanceof Uint8Array)
		return `${v.length} bytes`;
	if (typeof v === 'object')
		return JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? String(x) : x));
	return String(v);
}

async function range(url: string, from: number, to: number): Promise<ArrayBuffer> {
	const answer = await fetch(url, { credentials: 'same-origin', headers: { Range: `bytes=${from}-${to - 1}` } });
	if (!answer.ok)
		throw new Error(`The server answered ${answer.status} ${answer.statusText}`.trim());
	const bytes = await answer.arrayBuffer();
	return answer.status === 206 ? bytes : bytes.slice(from, to);
}

export default async function parquet({ url, size, most }: ParquetTask): Promise<ParquetRows> {
	const file = { byteLength: size, slice: (start: number, end = size) => range(url, start, end) };
	const metadata = await parquetMetadataAsync(file);
	const schema = parquetSchema(metadata).children;
	const columns = schema.map((c) => c.element.name);
	const rows = await parquetReadObjects({ file, metadata, rowStart: 0, rowEnd: Math.min(most, Number(metadata.num_rows)), compressors });
	return {
		columns,
		types: schema.map((c) => (c.element.logical_type?.type ?? c.element.converted_type ?? c.element.type ?? '').toLowerCase()),
		rows: rows.map((r) => columns.map((c) => cell(r[c]))),
		total: Number(metadata.num_rows),
	};
}
