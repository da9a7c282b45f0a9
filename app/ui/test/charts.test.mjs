import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, numberOf, suitsLog } from '../src/charts/axis.ts';
import { readCSV, writeCSV } from '../src/charts/csv.ts';
import { bandsOf, fieldOf, isolineOf } from '../src/charts/field.ts';
import { betterOf, curveOf, nearest, oddOf, rangeOf, sampling, smooth } from '../src/charts/series.ts';
import { scaleOf } from '../src/charts/scale.ts';
import { duration, logTicks, niceTicks, short, tickLabels } from '../src/charts/ticks.ts';

const close = (a, b, e = 1e-9) => assert.ok(Math.abs(a - b) <= e, `${a} is not ${b}`);
const area = (polygon) => {
	let sum = 0;
	for (let i = 0; i < polygon.length; i += 2) {
		const j = (i + 2) % polygon.length;
		sum += polygon[i] * polygon[j + 1] - polygon[j] * polygon[i + 1];
	}
	return Math.abs(sum) / 2;
};

const grid = { x: [], y: [], z: [] };
for (const x of [0, 1, 2])
	for (const y of [0, 10, 20]) {
		grid.x.push(x);
		grid.y.push(y);
		grid.z.push(3 * x - y);
	}

test('a contour of a plane is the plane everywhere in the hull', () => {
	const f = fieldOf(grid.x, grid.y, grid.z);
	assert.equal(f.ok, true);
	for (let i = 0; i < 50; i++) {
		const x = Math.random() * 2,
			y = Math.random() * 20;
		close(f.at(x, y), 3 * x - y);
	}
	assert.ok(Number.isNaN(f.at(2.1, 10)));
	assert.ok(Number.isNaN(f.at(1, -0.5)));
});

test('a contour is exact at every irregular sample and keeps a z of 0', () => {
	const x = [0, 1, 0.2, 0.7, 0.5, 0.9, 0.33],
		y = [0, 0.1, 1, 0.8, 0.45, 0.99, 0.6],
		z = [0, 2, -1, 5, 0, 3, 0.25];
	const f = fieldOf(x, y, z);
	x.forEach((v, i) => close(f.at(v, y[i]), z[i]));
	assert.equal(f.points.length, 7);
	assert.equal(f.zlo, -1);
});

test('zero at every sample is a surface of zero', () => {
	const f = fieldOf([0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]);
	assert.equal(f.ok, true);
	assert.equal(f.at(0.4, 0.6), 0);
	assert.equal(bandsOf(f, [], [0, 1, 0, 1], [0, 0, 1, 1])[0].polygons.length, 2);
});

test('a contour refuses with a reason', () => {
	const reason = (x, y) =>
		fieldOf(
			x,
			y,
			x.map(() => 1),
		).reason;
	assert.equal(reason([], []), 'none');
	assert.equal(reason([1, 2], [1, 2]), 'few');
	assert.equal(reason([1, 2, 1, 2], [1, 2, 1, 2]), 'few');
	assert.equal(reason([1, 1, 1], [1, 2, 3]), 'constant-x');
	assert.equal(reason([1, 2, 3], [0, 0, 0]), 'constant-y');
	assert.equal(reason([0.1, 0.2, 0.3, 0.7], [1, 2, 3, 7]), 'collinear');
	const two = fieldOf([1, 2], [1, 2], [1, 2], { xName: 'alpha', yName: 'l1' });
	assert.match(two.message, /2 distinct points of alpha and l1/);
});

test('a contour averages duplicates and skips NaN', () => {
	const f = fieldOf([0, 1, 0, 0, 5], [0, 0, 1, 0, 5], [1, 0, 0, 3, NaN]);
	assert.equal(f.skipped, 1);
	assert.equal(f.at(0, 0), 2);
	assert.deepEqual(f.points[0].members, [0, 3]);
});

test('axes of very different size weigh the same', () => {
	const x = [1e-5, 2e-5, 1e-5, 2e-5, 1.5e-5],
		y = [1000, 1000, 4000, 4000, 2500];
	const f = fieldOf(x, y, [0, 1, 1, 2, 1]);
	assert.equal(f.triangles.length / 3, 4);
	close(f.at(1.25e-5, 1750), 0.5);
});

test('bands cover the hull once and isolines lie on their level', () => {
	const f = fieldOf(grid.x, grid.y, grid.z);
	const px = f.points.map((p) => p.x * 100),
		py = f.points.map((p) => p.y * 10);
	const levels = [-20, -15, -10, -5, 0, 5, 6];
	const sum = bandsOf(f, levels, px, py)
		.flatMap((b) => b.polygons)
		.map(area)
		.reduce((a, b) => a + b);
	close(sum, 200 * 200, 1e-6);
	const line = isolineOf(f, -5, px, py);
	assert.ok(line.length >= 4);
	for (let i = 0; i < line.length; i += 2) close((3 * line[i]) / 100 - line[i + 1] / 10, -5, 1e-9);
});

test('5,000 points triangulate in well under a second', () => {
	const n = 5000,
		x = Array.from({ length: n }, Math.random),
		y = Array.from({ length: n }, Math.random);
	const start = performance.now();
	const f = fieldOf(
		x,
		y,
		x.map((v, i) => v * y[i]),
	);
	bandsOf(f, [0, 0.25, 0.5, 0.75, 1], x, y);
	assert.ok(performance.now() - start < 800);
});

test('params become numbers only when all of them are', () => {
	assert.equal(column('a', ['1', '2e-3', '']).kind, 'number');
	assert.equal(column('a', ['1', 'adam']).kind, 'category');
	assert.deepEqual(column('a', ['run 10', 'run 2', null]).categories, ['run 2', 'run 10']);
	assert.equal(column('a', ['nan', '3']).odd, 1);
	assert.equal(column('a', [null, undefined, '']).missing, 3);
	assert.equal(numberOf('0x10'), undefined);
	assert.equal(numberOf('-inf'), -Infinity);
	assert.equal(numberOf('1_000'), 1000);
});

test('scales go there and back', () => {
	for (const kind of ['linear', 'log', 'time']) {
		const s = scaleOf(1, 1000, 0, 300, { kind });
		close(s.from(s.to(37)), 37, 1e-9);
		close(s.to(1), 0);
		close(s.to(1000), 300);
	}
	assert.ok(Number.isNaN(scaleOf(1, 10, 0, 1, { kind: 'log' }).to(0)));
	close(scaleOf(5, 5, 0, 100).to(5), 50);
	close(scaleOf(0, 0, 0, 100).to(0), 50);
	close(scaleOf(0, 0, 0, 90, { kind: 'category', categories: ['a', 'b', 'c'] }).to(1), 45);
});

test('ticks are round and labelled alike', () => {
	assert.deepEqual(niceTicks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
	assert.deepEqual(tickLabels([0, 0.2, 0.4, 1]), ['0', '0.2', '0.4', '1.0']);
	assert.deepEqual(tickLabels([0, 2500, 5000, 7500, 10000]), ['0', '2.5 k', '5 k', '7.5 k', '10 k']);
	assert.deepEqual(tickLabels([-0.5, 0, 0.5]), ['−0.5', '0', '0.5']);
	assert.deepEqual(logTicks(1e-4, 1, 5), [1e-4, 1e-3, 1e-2, 0.1, 1]);
	assert.equal(short(0.12345678), '0.1235');
	assert.equal(short(0), '0');
	assert.equal(duration(3_660_000), '1 h 1 m');
});

test('CSV keeps quotes, line ends and says when it stopped', () => {
	assert.deepEqual(readCSV('a,b\r\n"x, ""y""\nz",2\n').rows, [
		['a', 'b'],
		['x, "y"\nz', '2'],
	]);
	assert.deepEqual(readCSV('a;b\n1;2').rows, [
		['a', 'b'],
		['1', '2'],
	]);
	assert.deepEqual(readCSV('a,b\n1,\n').rows[1], ['1', '']);
	assert.equal(readCSV('a\nb\nc\n', 2).complete, false);
	assert.equal(
		writeCSV([
			['a', 1, null],
			['x,"y"', '=1+1', -3],
		]),
		'a,1,\r\n"x,""y""",\'=1+1,-3\r\n',
	);
});

test('curves understand NaN, infinities and what they do to a bucket', () => {
	const c = curveOf({
		run_id: 'a',
		count: 30,
		exact: false,
		x: [0, 1, 2],
		min: [1, 'NaN', 2],
		max: [3, 'NaN', 1.7976931348623157e308],
		mean: [2, 'NaN', 6e306],
		last: [2, 'NaN', 2.5],
		n: [10, 10, 10],
	});
	assert.deepEqual(c.mean, [2, NaN, 2.5]);
	assert.equal(c.max[2], Infinity);
	assert.deepEqual(
		oddOf(c).map((o) => o.kind),
		['nan', 'inf'],
	);
	assert.deepEqual(
		rangeOf([c], null, false, (k) => [k.min, k.max]),
		{ lo: 1, hi: 3 },
	);
	assert.equal(sampling([c]), '1 of 10 points, spikes in between kept');
});

test('smoothing starts at the first value and keeps gaps', () => {
	const s = smooth([1, NaN, 1, 3], 0.5);
	assert.equal(s[0], 1);
	assert.ok(Number.isNaN(s[1]));
	assert.equal(s[2], 1);
	assert.ok(s[3] > 1 && s[3] < 3);
});

test('the nearest point is found, and none outside the curve', () => {
	assert.equal(nearest([0, 10, 20], 14), 1);
	assert.equal(nearest([0, 10, 20], 16), 2);
	assert.equal(nearest([0, 10, 20], 25), -1);
	assert.equal(nearest([5], 5), 0);
});

test('direction is told only where the name tells', () => {
	assert.equal(betterOf('val/loss'), 'less');
	assert.equal(betterOf('rmse'), 'less');
	assert.equal(betterOf('val_accuracy'), 'more');
	assert.equal(betterOf('r2'), 'more');
	assert.equal(betterOf('lr'), null);
	assert.equal(betterOf('system/gpu_error'), null);
});

test('log is offered by itself only where values crowd at the low end', () => {
	assert.equal(suitsLog(column('lr', ['1e-5', '1e-4', '1e-3', '1e-2'])), true);
	assert.equal(suitsLog(column('alpha', ['0.01', '0.1', '1'])), true);
	assert.equal(
		suitsLog(
			column(
				'p',
				Array.from({ length: 101 }, (_, i) => (i + 0.1) / 100),
			),
		),
		false,
	);
	assert.equal(suitsLog(column('l1', ['0', '0.5', '1'])), false);
});
