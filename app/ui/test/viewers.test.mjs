import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePython } from '../src/viewers/python-json.ts';
import { readZipList, zipEnd } from '../src/viewers/zip-list.ts';
import { half, offsetOf, readNpy } from '../src/viewers/npy.ts';

function npy(descr, shape, body, fortran = false) {
	const head = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }\n`;
	const bytes = new Uint8Array(10 + head.length + body.byteLength);
	bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8]);
	bytes.set(new TextEncoder().encode(head), 10);
	bytes.set(new Uint8Array(body.buffer, body.byteOffset, body.byteLength), 10 + head.length);
	return bytes;
}

test('npy reads shape, type and values', () => {
	const a = readNpy(npy('<f8', [2, 3], new Float64Array([0, 1.5, NaN, -2, 3, 4])));
	assert.deepEqual(a.shape, [2, 3]);
	assert.deepEqual([...a.values], [0, 1.5, NaN, -2, 3, 4]);
	assert.equal(a.values[offsetOf(a, [1, 2])], 4);
	assert.deepEqual([...readNpy(npy('<i8', [2], new BigInt64Array([7n, 9007199254740993n]))).values], [7, 9007199254740993n]);
	assert.deepEqual([...readNpy(npy('|b1', [2], new Uint8Array([1, 0]))).values], [true, false]);
});

test('npy reads Fortran order and a body cut short', () => {
	const a = readNpy(npy('<i4', [2, 2], new Int32Array([1, 2, 3]), true));
	assert.equal(a.total, 4);
	assert.equal(a.values.length, 3);
	assert.equal(a.values[offsetOf(a, [0, 1])], 3);
});

test('npy refuses what it cannot show', () => {
	assert.throws(() => readNpy(new Uint8Array(20)), /not a .npy/);
	assert.throws(() => readNpy(npy('|O', [1], new Uint8Array(1))), /pickle/);
	assert.equal(half(0x3c00), 1);
	assert.equal(half(0xc000), -2);
});

test('a zip is listed from its end alone', async () => {
	const { zipSync } = await import('fflate');
	const zip = zipSync({ 'a/b.txt': new Uint8Array(1000), 'ü.bin': new Uint8Array([1, 2, 3]) });
	const cut = 10;
	const end = zipEnd(zip.subarray(cut), cut);
	const list = readZipList(zip.subarray(end.at, end.at + end.size));
	assert.deepEqual(
		list.map((e) => [e.name, e.size]),
		[
			['a/b.txt', 1000],
			['ü.bin', 3],
		],
	);
	assert.throws(() => zipEnd(new Uint8Array(100), 0), /not a zip/);
});

test("JSON of Python's json.dump with NaN is read", () => {
	assert.deepEqual(parsePython('{"a": NaN, "b": [-Infinity, "NaN, really"]}'), { a: 'NaN', b: ['-Infinity', 'NaN, really'] });
	assert.throws(() => parsePython('{'));
});
