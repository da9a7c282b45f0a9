/* NumPy's .npy: the header is a Python dict literal, the body plain numbers. Pure: no DOM. */

export interface NumpyArray {
	dtype: string;
	shape: number[];
	fortran: boolean;
	/** Elements that the bytes given hold, at most the whole; complex numbers as two of them. */
	values: ArrayLike<number | bigint | boolean | string>;
	total: number;
}

export function readNpy(bytes: Uint8Array): NumpyArray {
	if (bytes.length < 12 || bytes[0] !== 0x93 || String.fromCharCode(...bytes.subarray(1, 6)) !== 'NUMPY')
		throw new Error("This is not a .npy file: its first bytes are not NumPy's.");
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const wide = bytes[6]! >= 2;
	const start = wide ? 12 : 10;
	const size = wide ? view.getUint32(8, true) : view.getUint16(8, true);
	const head = new TextDecoder(bytes[6] === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(start, start + size));
	const descr = /'descr':\s*'([^']*)'/.exec(head)?.[1];
	const shape = /'shape':\s*\(([^)]*)\)/.exec(head)?.[1];
	if (shape === undefined) throw new Error('The .npy header has no shape.');
	if (descr === undefined)
		throw new Error(
			'Structured arrays (several fields in one element) cannot be shown here. Download the file and open it with numpy.load.',
		);
	const dims = shape
		.split(',')
		.map((s) => s.trim())
		.filter((s) => s)
		.map((s) => parseInt(s, 10));
	const total = dims.reduce((a, b) => a * b, 1);
	return {
		dtype: descr,
		shape: dims,
		fortran: /'fortran_order':\s*True/.test(head),
		total,
		values: elements(bytes, start + size, descr, total),
	};
}

function elements(bytes: Uint8Array, at: number, descr: string, total: number): ArrayLike<number | bigint | boolean | string> {
	const little = descr[0] !== '>';
	const kind = descr[1]!,
		width = parseInt(descr.slice(2), 10);
	const size = kind === 'U' ? width * 4 : width;
	const count = Math.min(total, size ? Math.floor((bytes.length - at) / size) : 0);
	const view = new DataView(bytes.buffer, bytes.byteOffset + at);
	const read = <T>(n: number, step: number, one: (i: number) => T): T[] => {
		const out = new Array<T>(n);
		for (let i = 0; i < n; i++) out[i] = one(i * step);
		return out;
	};
	switch (kind + width) {
		case 'f8':
			return read(count, 8, (i) => view.getFloat64(i, little));
		case 'f4':
			return read(count, 4, (i) => view.getFloat32(i, little));
		case 'f2':
			return read(count, 2, (i) => half(view.getUint16(i, little)));
		case 'i8':
			return read(count, 8, (i) => exact(view.getBigInt64(i, little)));
		case 'u8':
			return read(count, 8, (i) => exact(view.getBigUint64(i, little)));
		case 'i4':
			return read(count, 4, (i) => view.getInt32(i, little));
		case 'u4':
			return read(count, 4, (i) => view.getUint32(i, little));
		case 'i2':
			return read(count, 2, (i) => view.getInt16(i, little));
		case 'u2':
			return read(count, 2, (i) => view.getUint16(i, little));
		case 'i1':
			return read(count, 1, (i) => view.getInt8(i));
		case 'u1':
			return read(count, 1, (i) => view.getUint8(i));
		case 'b1':
			return read(count, 1, (i) => view.getUint8(i) !== 0);
		case 'c8':
			return read(count, 8, (i) => complex(view.getFloat32(i, little), view.getFloat32(i + 4, little)));
		case 'c16':
			return read(count, 16, (i) => complex(view.getFloat64(i, little), view.getFloat64(i + 8, little)));
	}
	if (kind === 'U')
		return read(count, size, (i) => {
			let s = '';
			for (let k = 0; k < width; k++) {
				const c = view.getUint32(i + 4 * k, little);
				if (!c) break;
				s += String.fromCodePoint(c);
			}
			return s;
		});
	if (kind === 'S')
		return read(count, size, (i) => new TextDecoder('latin1').decode(bytes.subarray(at + i, at + i + size)).replace(/\0+$/, ''));
	if (kind === 'O') throw new Error('This array holds pickled Python objects, which are not read here: a pickle can run code.');
	throw new Error(`Elements of type ${descr} cannot be shown here.`);
}

const exact = (v: bigint) => (v >= -9007199254740991n && v <= 9007199254740991n ? Number(v) : v);
const complex = (re: number, im: number) => `${Number(re.toPrecision(6))}${im < 0 ? '−' : '+'}${Number(Math.abs(im).toPrecision(6))}j`;

export function half(bits: number): number {
	const sign = bits & 0x8000 ? -1 : 1,
		exponent = (bits >> 10) & 31,
		fraction = bits & 1023;
	if (exponent === 0) return sign * fraction * 2 ** -24;
	if (exponent === 31) return fraction ? NaN : sign * Infinity;
	return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Position in the flat body of one index, in C or Fortran order. */
export function offsetOf(array: NumpyArray, index: number[]): number {
	let at = 0;
	if (array.fortran) {
		for (let k = index.length - 1; k >= 0; k--) at = at * array.shape[k]! + index[k]!;
		return at;
	}
	for (let k = 0; k < index.length; k++) at = at * array.shape[k]! + index[k]!;
	return at;
}
