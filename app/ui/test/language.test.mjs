import assert from 'node:assert/strict';
import { test } from 'node:test';
import { andAlso, hint, mended, pieces, quoted, quotedValue, trouble } from '../src/components/query/language.ts';

test('texts that read well', () => {
	for (const text of [
		'',
		'metrics.rmse < 1 and params.alpha = "0.5"',
		'metrics."val/loss" <= -1.5e-3',
		"metrics.`a b` >= .5 AND tags.x != 'it'",
		"attributes.status IN ('FINISHED', 'FAILED')",
		"run_name LIKE 'a%'",
		'tags.`mlflow.parentRunId` IS NULL',
		'params.x is not null or (metrics.a > 1 and not metrics.b < 2)',
		"datasets.name = 'wine'",
		'tag.team = "a"',
		"params.x NOT IN ('a')",
	])
		assert.equal(trouble(text), null, text);
});

test('errors are named at their place', () => {
	const at = (text) => {
		const t = trouble(text);
		return t && [t.at, t.message.split(/[ :]/)[0]];
	};
	assert.deepEqual(at('metrics.rmse <'), [14, 'A']);
	assert.deepEqual(at('metrics.rmse'), [12, 'A']);
	assert.deepEqual(at('metric5.rmse < 1'), [0, 'Unknown']);
	assert.deepEqual(at("params.alpha = 'x"), [15, 'This']);
	assert.deepEqual(at('params.alpha = x'), [15, 'Text']);
	assert.deepEqual(at('metrics.a < 1 metrics.b < 2'), [14, 'Expected']);
	assert.deepEqual(at('(metrics.a < 1'), [0, 'This']);
	assert.deepEqual(at('metrics.a < 1)'), [13, 'This']);
	assert.deepEqual(at("params.a b = 'x'"), [9, 'A']);
	assert.deepEqual(at('metrics.a < 1 and'), [17, 'A']);
});

test('pieces cover the text in order and never overlap', () => {
	for (const text of ['metrics."val/loss" < 2 and params.model != "mlp"', '!!"', "a.'b", '((', 'x = -', '\u00e9.\u00fc < 1']) {
		let end = 0;
		for (const p of pieces(text)) {
			assert.ok(p.start >= end, text);
			assert.equal(text.slice(p.start, p.end), p.text);
			end = p.end;
		}
	}
});

test('what comes next', () => {
	const want = (text) => hint(text, text.length).want;
	assert.equal(want(''), 'name');
	assert.equal(want('metr'), 'name');
	assert.equal(want('metrics.'), 'key');
	assert.equal(want('metrics.rm'), 'key');
	assert.equal(want('metrics.rmse '), 'operator');
	assert.equal(want('metrics.rmse < '), 'value');
	assert.equal(want('metrics.rmse < 1 '), 'join');
	assert.equal(want('metrics.rmse < 1 and '), 'name');
	assert.equal(want('metrics.rmse < 1 and par'), 'name');
	assert.deepEqual({ ...hint('status = ', 9) }.key, 'status');
	assert.equal(hint('metrics.`val/lo', 15).typed, 'val/lo');
});

test('names and values are quoted when they must be', () => {
	assert.equal(quoted('rmse'), 'rmse');
	assert.equal(quoted('val/loss'), '`val/loss`');
	assert.equal(quotedValue("it's"), '"it\'s"');
	assert.equal(mended("metrics.val/loss < 1 and params.a.b-c = 'd.e/f' and metrics.`x y` > 2"), "metrics.`val/loss` < 1 and params.`a.b-c` = 'd.e/f' and metrics.`x y` > 2");
	assert.equal(trouble('metrics.a.b < 1'), null);
	assert.equal(mended("run_name = 'a/b'"), "run_name = 'a/b'");
	assert.equal(andAlso('a = 1 or b = 2', 'c = 3'), '(a = 1 or b = 2) and c = 3');
	assert.equal(trouble(andAlso("params.x = 'a'", `metrics.${quoted('val/loss')} < 1`)), null);
});
