import assert from 'node:assert/strict';
import { test } from 'node:test';
import { short } from '../src/format.ts';

test('numbers keep the digits before the point', () => {
	const written = [85421.5, 515140.2, 1234567.8, 1234.5678, 99999.96, 0.123456, 0.00012345, 12345678.5, 7, -42.12345, 0];
	assert.deepEqual(written.map(short), ['85421.5', '515140', '1234568', '1234.57', '100000', '0.1235', '1.234e-4', '1.235e7', '7', '-42.12', '0']);
});

test('the largest double is what the client makes of infinity', () => {
	assert.deepEqual([Number.MAX_VALUE, -Number.MAX_VALUE, Infinity, NaN].map(short), ['Infinity', '-Infinity', 'Infinity', 'NaN']);
});
