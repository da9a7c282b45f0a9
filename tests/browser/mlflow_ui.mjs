/*
 * Walks MLflow's own web page, served by tallyd. mlflow_ui.py starts the server and logs what DATA names.
 *   BASE=http://127.0.0.1:5000/ OUT=out DATA='{...}' node mlflow_ui.mjs [only pages whose name contains this]
 * A page passes when it shows its data, no script fails, nothing is asked of another host, and no answer is >= 400, apart from the parts that
 * tallyd does not claim, below. A screenshot of each goes to OUT. Last line: "N passed, N failed".
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';

const BASE = (process.env.BASE ?? 'http://127.0.0.1:5000/').replace(/\/?$/, '/');
const OUT = resolve(process.env.OUT ?? 'out');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ONLY = process.argv[2] ?? '';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const PATIENCE_MS = 30_000;
const QUIET_MS = 600;
const data = JSON.parse(process.env.DATA);
const [first] = data.runs;
const experiment = `#/experiments/${data.experiment}`;
const three = data.runs.slice(0, 3).map((r) => r.run_id);

/* What may be answered with an error, and why. */
const UNCLAIMED = [
	[/\/users\/current$/, 'accounts: MLflow has them only with its auth app, and answers 404 as well'],
	[/\/mlflow\/assistant\//, 'the assistant runs programs on the server'],
	[/\/ui-telemetry$/, 'tells the makers of MLflow how the page is used'],
	[/\/api\/3\.0\/mlflow\/(traces|scorers|datasets|get-trace)/, 'traces and evaluation are not served'],
	[/\/ajax-api\/3\.0\/mlflow\/(traces|scorers|datasets|get-trace|issues|label-schemas|workspaces|gateway|prompt-optimization)/, 'traces and evaluation are not served'],
];

mkdirSync(OUT, { recursive: true });
const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
const refused = new Map();
let passed = 0;
let failed = 0;

async function visit(name, hash, texts, act) {
	if (!name.includes(ONLY))
		return;
	const context = await browser.newContext({ viewport: { width: 1500, height: 950 } });
	const page = await context.newPage();
	page.setDefaultTimeout(PATIENCE_MS);
	const wrong = [];
	const open = new Set();
	let since = Date.now();
	const ended = (r) => { open.delete(r); since = Date.now(); };
	page.on('request', (r) => {
		if (/^(data|blob):/.test(r.url()))
			return;
		/* Chromium never tells when the script of a worker has come. */
		if (!/worker\.js$/.test(r.url()))
			open.add(r);
		if (!r.url().startsWith(BASE))
			wrong.push(`asked of another host: ${r.url()}`);
	});
	page.on('requestfinished', ended);
	page.on('requestfailed', (r) => {
		ended(r);
		if (!/ERR_ABORTED/.test(r.failure()?.errorText ?? ''))
			wrong.push(`request: ${r.url()} ${r.failure()?.errorText}`);
	});
	page.on('pageerror', (e) => wrong.push(`script: ${e.stack ?? e.message}`));
	page.on('response', async (r) => {
		if (r.status() < 400)
			return;
		const path = new URL(r.url()).pathname;
		const known = UNCLAIMED.find(([p]) => p.test(path));
		if (known)
			refused.set(path, [r.status(), known[1]]);
		else
			wrong.push(`${r.status()} ${r.request().method()} ${r.url()} ${(r.request().postData() ?? '').slice(0, 300)}`);
	});

	const settled = async () => {
		const until = Date.now() + PATIENCE_MS;
		while (open.size > 0 || Date.now() - since < QUIET_MS) {
			assert.ok(Date.now() < until, `not settled: ${[...open].map((r) => r.url()).join(' ')}`);
			await new Promise((go) => setTimeout(go, 50));
		}
	};
	const shows = async (text) => {
		await page.waitForFunction((t) => document.body.innerText.includes(t), text).catch(async () => {
			throw new Error(`does not show "${text}" but: ${(await page.evaluate(() => document.body.innerText)).slice(0, 600)}`);
		});
	};

	try {
		await page.goto(BASE + hash);
		for (const text of texts)
			await shows(text);
		await settled();
		if (act) {
			await act(page, shows, settled);
			await settled();
		}
		const shown = await page.evaluate(() => document.body.innerText);
		assert.ok(shown.trim().length > 100, `a blank page: ${shown}`);
		assert.doesNotMatch(shown, /Page not found|Something went wrong|An error occurred|encountered an (internal )?error|Failed to (load|fetch)/i);
		assert.deepEqual(wrong, []);
		passed++;
		console.log(`ok   ${name}`);
	} catch (error) {
		failed++;
		console.log(`FAIL ${name}\n     ${String(error.message ?? error).split('\n').slice(0, 20).join('\n     ')}${wrong.length ? `\n     ${wrong.join('\n     ')}` : ''}`);
	} finally {
		await page.screenshot({ path: `${OUT}/${name}.png` }).catch(() => undefined);
		await context.close();
	}
}

const tab = (name) => async (page) => { await page.getByText(name, { exact: true }).first().click(); };
const plots = (page) => page.waitForFunction(() => document.querySelectorAll('.js-plotly-plot .main-svg').length > 0);

await visit('home', '', ['wine']);
await visit('experiments', '#/experiments', ['wine', 'Default']);
await visit('runs', `${experiment}/runs`, [data.runs[0].name, data.runs[4].name, 'wine-quality']);
await visit('charts', `${experiment}/runs?compareRunsMode=CHART`, [first.name, 'loss'], plots);
await visit('run', `${experiment}/runs/${first.run_id}`, [first.name, 'l1_ratio', 'rmse', 'wine-quality', 'wine-net', 'Finished']);
await visit('run-metrics', `${experiment}/runs/${first.run_id}/model-metrics`, ['loss', 'rmse'], plots);
await visit('run-system-metrics', `${experiment}/runs/${first.run_id}/system-metrics`, [first.name]);
await visit('run-artifacts', `${experiment}/runs/${first.run_id}/artifacts`, ['conf.json', 'notes'], async (page, shows) => {
	await page.getByText('conf.json').first().click();
	await shows('"alpha"');
	await page.getByText('notes', { exact: true }).first().click();
	await page.getByText('read.txt').first().click();
	await shows('a line of a file');
});
await visit('compare', `#/compare-runs?runs=${encodeURIComponent(JSON.stringify(three))}&experiments=${encodeURIComponent(JSON.stringify([data.experiment]))}`, [data.runs[1].name, 'l1_ratio'], async (page, shows, settled) => {
	for (const name of ['Scatter Plot', 'Box Plot', 'Contour Plot', 'Parallel Coordinates Plot']) {
		await tab(name)(page);
		await settled();
		if (name === 'Box Plot')
			await shows('Select parameters/metrics to plot.');
		else
			await plots(page);
		if (name === 'Contour Plot')
			await page.waitForFunction(() => document.querySelectorAll('.js-plotly-plot .contour path').length > 0);
		await page.screenshot({ path: `${OUT}/compare-${name.split(' ')[0].toLowerCase()}.png` });
	}
});
await visit('metric', `#/metric/loss?runs=${encodeURIComponent(JSON.stringify(three))}&experiments=${encodeURIComponent(JSON.stringify([data.experiment]))}&metric=${encodeURIComponent('"loss"')}&plot_metric_keys=${encodeURIComponent('["loss"]')}`, ['loss'], plots);
await visit('logged-models', `${experiment}/models`, ['model', data.runs[0].name]);
await visit('logged-model', `${experiment}/models/${first.model_id}`, [first.model_id, 'wine-net']);
await visit('logged-model-files', `${experiment}/models/${first.model_id}/artifacts`, ['MLmodel', 'requirements.txt']);
await visit('models', '#/models', [data.model]);
await visit('model', `#/models/${data.model}`, [data.model, 'Version 5', 'champion']);
await visit('version', `#/models/${data.model}/versions/1`, ['Version 1', first.name]);
await visit('prompts', '#/prompts', ['Prompts']);

await browser.close();
if (refused.size > 0)
	console.log('answered with an error, as listed:');
for (const [path, [status, why]] of [...refused].sort())
	console.log(`     ${status} ${path}: ${why}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
