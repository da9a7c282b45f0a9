/* The central directory of a zip. Pure: no DOM. */

export interface ZipEntry {
	name: string;
	size: number;
	packed: number;
	time: string;
}

/** Where the list of files begins and how long it is, from the end of the file. `from` is the tail's place in the file. */
export function zipEnd(tail: Uint8Array, from: number): { at: number; size: number } {
	const v = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
	for (let i = tail.length - 22; i >= 0; i--) {
		if (v.getUint32(i, true) !== 0x06054b50) continue;
		const size = v.getUint32(i + 12, true),
			at = v.getUint32(i + 16, true);
		if (at !== 0xffffffff && size !== 0xffffffff) return { at, size };
		/* zip64: its own end record, found through the locator before this one. */
		if (i >= 20 && v.getUint32(i - 20, true) === 0x07064b50) {
			const big = Number(v.getBigUint64(i - 12, true)) - from;
			if (big >= 0 && v.getUint32(big, true) === 0x06064b50)
				return { size: Number(v.getBigUint64(big + 40, true)), at: Number(v.getBigUint64(big + 48, true)) };
		}
	}
	throw new Error('This is not a zip file, or its end is missing.');
}

export function readZipList(list: Uint8Array): ZipEntry[] {
	const v = new DataView(list.buffer, list.byteOffset, list.byteLength);
	const out: ZipEntry[] = [];
	let i = 0;
	while (i + 46 <= list.length && v.getUint32(i, true) === 0x02014b50) {
		const utf8 = v.getUint16(i + 8, true) & 0x800;
		const time = v.getUint16(i + 12, true),
			date = v.getUint16(i + 14, true);
		let packed = v.getUint32(i + 20, true),
			size = v.getUint32(i + 24, true);
		const name = v.getUint16(i + 28, true),
			extra = v.getUint16(i + 30, true),
			comment = v.getUint16(i + 32, true);
		for (let k = i + 46 + name; k + 4 <= i + 46 + name + extra && k + 4 <= list.length; k += 4 + v.getUint16(k + 2, true))
			if (v.getUint16(k, true) === 1) {
				let at = k + 4;
				if (size === 0xffffffff) {
					size = Number(v.getBigUint64(at, true));
					at += 8;
				}
				if (packed === 0xffffffff) packed = Number(v.getBigUint64(at, true));
			}
		const two = (n: number) => String(n).padStart(2, '0');
		out.push({
			name: new TextDecoder(utf8 ? 'utf-8' : 'latin1').decode(list.subarray(i + 46, i + 46 + name)),
			size,
			packed,
			time: `${1980 + (date >> 9)}-${two((date >> 5) & 15)}-${two(date & 31)} ${two(time >> 11)}:${two((time >> 5) & 63)}`,
		});
		i += 46 + name + extra + comment;
	}
	return out;
}
