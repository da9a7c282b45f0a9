/*
 * Walks every page of the web UI in Chromium, against a running server with some data.
 * LARGE is an experiment of LARGE_RUNS runs and LARGE_KEYS metrics beside EXPERIMENTS more experiments (tests/lib/browser.py makes them); without it the tests of scale are left out.
 *   BASE=http://127.0.0.1:5000/ OUT=out node run.mjs [only tests whose name contains this]
 * A console error, a Content-Security-Policy report, a failed request or an answer >= 400 fails the page it happened on;
 * axe-core must find nothing serious; screenshots in both themes and widths go to OUT. Makes and removes its own things
 * under the experiment name "browser-test/...". Last line: "N passed, N failed".
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';
import charts from './charts.mjs';
import scale from './scale.mjs';
import viewers from './viewers.mjs';

const BASE = (process.env.BASE ?? 'http://127.0.0.1:5000/').replace(/\/?$/, '/');
const OUT = resolve(process.env.OUT ?? 'out');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ONLY = process.argv[2] ?? '';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const PATIENCE_MS = 10_000;
const QUIET_MS = 250;
const SIZES = [[1280, 800], [390, 844]];
const THEMES = ['light', 'dark'];
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

mkdirSync(OUT, { recursive: true });
const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
let passed = 0;
let failed = 0;

async function test(name, run) {
	if (!name.includes(ONLY))
		return;
	const started = Date.now();
	try {
		await run();
		passed++;
		console.log(`ok   ${name} (${Date.now() - started} ms)`);
	} catch (error) {
		failed++;
		console.log(`FAIL ${name}\n     ${String(error.message ?? error).split('\n').slice(0, 12).join('\n     ')}`);
	} finally {
		for (const context of browser.contexts())
			await context.close();
	}
}

/* A fresh browser profile whose page notes everything that went wrong. */
async function open(path, { width = 1280, height = 800, theme = 'light', scale = 1, expect = [] } = {}) {
	const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, deviceScaleFactor: scale, acceptDownloads: true });
	const page = await context.newPage();
	page.setDefaultTimeout(PATIENCE_MS);
	const wrong = [];
	const expected = (text) => expect.some((e) => text.includes(e));
	const note = (text) => { if (!expected(text)) wrong.push(text); };
	await page.addInitScript(() => {
		window.__csp = [];
		document.addEventListener('securitypolicyviolation', (e) => window.__csp.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
	});
	page.on('console', (m) => { if (m.type() === 'error') note(`console: ${m.text()} ${m.location().url}`); });
	page.on('pageerror', (e) => note(`script: ${e.stack ?? e.message}`));
	page.on('requestfailed', (r) => { if (!/ERR_ABORTED/.test(r.failure()?.errorText ?? '')) note(`request: ${r.url()} ${r.failure()?.errorText}`); });
	page.on('response', (r) => { if (r.status() >= 400) note(`status ${r.status()}: ${r.url()}`); });
	track(page);
	await page.goto(BASE + path.replace(/^\//, ''));
	await settled(page);
	return {
		page, context,
		async sound() {
			const csp = await page.evaluate(() => window.__csp);
			assert.deepEqual([...wrong, ...csp.map((c) => `csp: ${c}`)], []);
		},
		async done() {
			await this.sound();
			await context.close();
		},
	};
}

/* What a page waits for, apart from the event stream and its worker, which never end. */
const underway = new WeakMap();

function track(page) {
	const open = new Set();
	underway.set(page, { open, since: Date.now() });
	const ended = (r) => { if (open.delete(r)) underway.get(page).since = Date.now(); };
	page.on('request', (r) => { if (!/\/live$|live\.worker/.test(r.url())) open.add(r); });
	page.on('requestfinished', ended);
	page.on('requestfailed', ended);
}

/* The page shows something, loads nothing, and has been quiet for a moment. */
async function settled(page) {
	const until = Date.now() + PATIENCE_MS;
	for (;;) {
		const { open, since } = underway.get(page);
		const shown = await page.evaluate(() => !!document.querySelector('main')?.textContent && !document.querySelector('.loading, .busy')).catch(() => false);
		if (shown && open.size === 0 && Date.now() - since > QUIET_MS)
			return;
		if (Date.now() > until)
			throw new Error(`not settled after ${PATIENCE_MS} ms: ${shown ? '' : 'nothing shown, '}${[...open].map((r) => r.url()).join(' ')}`);
		await new Promise((go) => setTimeout(go, 50));
	}
}

async function api(path, body, method = body === undefined ? 'GET' : 'POST') {
	const answer = await fetch(`${BASE}ajax-api/2.0/${path}`, body === undefined ? {} : { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
	const text = await answer.text();
	assert.ok(answer.ok, `${path}: ${answer.status} ${text.slice(0, 300)}`);
	return text ? JSON.parse(text) : {};
}

async function accessible(page, where) {
	await page.evaluate(axe);
	const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
	const serious = found.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical' || v.id === 'heading-order');
	assert.deepEqual(serious.map((v) => `${where} ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} (${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ''})`).join('; ')}`), []);
}

/* ---- what there is to look at ---- */

const stamp = Date.now();
const own = (await api('mlflow/experiments/create', { name: `browser-test/walk-${stamp}` })).experiment_id;
const empty = (await api('mlflow/experiments/create', { name: `browser-test/empty-${stamp}` })).experiment_id;

async function makeRun(i, extra = {}) {
	const start_time = Date.now() - (20 - i) * 60_000;
	const { run } = await api('mlflow/runs/create', { experiment_id: own, run_name: `walk-${i}`, start_time, tags: [{ key: 'mlflow.user', value: i % 2 ? 'anna' : 'mk' }, { key: 'mlflow.source.name', value: 'train.py' }, { key: 'mlflow.source.git.commit', value: '4c1f0a9e8d7b6a5f4e3d2c1b0a9f8e7d6c5b4a39' }, { key: 'family', value: i % 2 ? 'odd' : 'even' }, ...(extra.tags ?? [])] });
	const run_id = run.info.run_id;
	const metrics = [];
	for (let step = 0; step < 40; step++)
		metrics.push({ key: 'val/loss', value: i * 0.01 + 1 / (step + 1), timestamp: start_time + step * 1000, step });
	metrics.push({ key: 'rmse', value: 0.5 + i / 10, timestamp: start_time, step: 0 }, { key: 'mae', value: Math.abs(i - 4) / 4, timestamp: start_time, step: 0 });
	await api('mlflow/runs/log-batch', { run_id, metrics, params: [{ key: 'alpha', value: String([0.1, 0.5, 1][i % 3]) }, { key: 'l1_ratio', value: String([0, 0.5, 1][Math.floor(i / 3) % 3]) }, { key: 'fixed', value: 'same' }], tags: [] });
	if (!extra.running)
		await api('mlflow/runs/update', { run_id, status: 'FINISHED', end_time: start_time + 40_000 });
	return run_id;
}
const runs = [];
for (let i = 0; i < 9; i++)
	runs.push(await makeRun(i));
await api('mlflow/runs/set-tag', { run_id: runs[0], key: 'mlflow.note.content', value: 'A **note** with `code`\n\n- one\n- [x] two\n\n<script>alert(1)</script>' });

const { experiments = [] } = await api('tallyd/experiments?view_type=ACTIVE_ONLY');
const biggest = experiments.find((e) => e.experiment_id === process.env.LARGE) ?? experiments.reduce((a, b) => ((b.run_count ?? 0) > (a.run_count ?? 0) ? b : a), experiments[0]);
const { registered_models = [] } = await api('mlflow/registered-models/search?max_results=50');
const model = registered_models.find((m) => m.latest_versions?.length);
let withFiles = '';
for (const e of experiments.filter((x) => x.run_count > 0 && !x.name.startsWith('browser-test/')).slice(0, 30)) {
	const { runs: some = [] } = await api('tallyd/runs/table', { experiment_ids: [e.experiment_id], filter: '', order_by: ['attributes.start_time ASC'], run_view_type: 'ACTIVE_ONLY', offset: 0, max_results: 3, columns: [] });
	for (const r of some)
		if (!withFiles && (await api(`mlflow/artifacts/list?run_id=${r.info.run_id}`).catch(() => ({}))).files?.length)
			withFiles = r.info.run_id;
}

const pages = [
	['experiments', '/experiments'],
	['experiments-deleted', '/experiments?archived=1'],
	['runs', `/experiments/${own}/runs`],
	['runs-baseline', `/experiments/${own}/runs?base=${runs[3]}&sort=metrics.rmse&diff=1`],
	['runs-grouped', `/experiments/${own}/runs?group=tags.family`],
	['runs-empty', `/experiments/${empty}/runs`],
	['runs-biggest', `/experiments/${biggest.experiment_id}/runs`],
	['charts', `/experiments/${own}/charts`],
	['compare', `/experiments/${own}/compare?runs=${runs.slice(0, 6).join(',')}`],
	['compare-contour', `/experiments/${own}/compare?runs=${runs.join(',')}&tab=contour&x=params.alpha&y=params.l1_ratio&z=metrics.mae`],
	['run', `/runs/${runs[0]}`],
	['run-metrics', `/runs/${runs[0]}/metrics`],
	['run-system', `/runs/${runs[0]}/system`],
	['run-artifacts-empty', `/runs/${runs[0]}/artifacts`],
	...(withFiles ? [['run-files', `/runs/${withFiles}`], ['run-artifacts', `/runs/${withFiles}/artifacts`]] : []),
	['models', '/models'],
	...(model ? [['model', `/models/${encodeURIComponent(model.name)}`], ['version', `/models/${encodeURIComponent(model.name)}/${model.latest_versions[0].version}`]] : []),
	['settings', '/settings'],
	['not-found', '/experiments/nothing'],
];

for (const [name, path] of pages)
	for (const theme of THEMES)
		for (const [width, height] of SIZES)
			await test(`page ${name} ${theme} ${width}`, async () => {
				const it = await open(path, { width, height, theme });
				await it.page.screenshot({ path: `${OUT}/${name}-${theme}-${width}.png` });
				const over = await it.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
				assert.ok(over <= 0, `the page is ${over} px wider than the window`);
				await accessible(it.page, name);
				await it.done();
			});

await test('page with 200 % zoom loses nothing', async () => {
	for (const path of ['/experiments', `/experiments/${own}/runs`, `/runs/${runs[0]}`]) {
		const it = await open(path, { width: 640, height: 400, scale: 2 });
		assert.ok(await it.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} scrolls sideways`);
		await it.done();
	}
});

/* ---- what people do ---- */

await test('table: keys move, select, open and compare', async () => {
	const it = await open(`/experiments/${own}/runs?sort=metrics.rmse`);
	const { page } = it;
	await page.getByRole('grid').focus();
	await page.keyboard.press('j');
	await page.keyboard.press('Space');
	await page.getByText('1 selected').waitFor();
	await page.keyboard.press('Shift+ArrowDown');
	await page.getByText('2 selected').waitFor();
	await page.keyboard.press('a');
	await page.keyboard.press('a');
	await page.getByText('9 selected').waitFor();
	await page.keyboard.press('Escape');
	await page.keyboard.press('Home');
	await page.keyboard.press('Space');
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('Space');
	await page.keyboard.press('c');
	await page.waitForURL(/\/compare\?runs=/);
	await settled(page);
	await page.goBack();
	await settled(page);
	await page.getByRole('grid').focus();
	await page.keyboard.press('Enter');
	await page.waitForURL(new RegExp(`/runs/${runs[0]}$`));
	await settled(page);
	await it.done();
});

await test('table: sorting by a metric is in the link and in the rows', async () => {
	const it = await open(`/experiments/${own}/runs`);
	const { page } = it;
	await page.getByRole('button', { name: 'rmse', exact: true }).first().click();
	await page.waitForURL(/sort=/);
	await settled(page);
	const first = () => page.locator('.g-body .r-name a').first().textContent();
	assert.equal(await first(), 'walk-0');
	await page.getByRole('button', { name: /^rmse/ }).first().click();
	await page.waitForFunction(() => document.querySelector('.g-body .r-name a')?.textContent === 'walk-8');
	await page.reload();
	await settled(page);
	assert.equal(await first(), 'walk-8');
	assert.match(await page.locator('.r-head').textContent(), /sorted by rmse ▼/, 'said above the table, wherever its column is');
	await it.done();
});

await test('table: sorted again before the first answer', async () => {
	const it = await open(`/experiments/${own}/runs?charts=0`);
	const { page } = it;
	await page.route('**/tallyd/runs/table', async (r) => { await new Promise((go) => setTimeout(go, 300)); await r.continue().catch(() => undefined); });
	const head = page.getByRole('button', { name: /^rmse/ }).first();
	await head.click();
	await head.click();
	await page.locator('.g-body .r-name a', { hasText: 'walk-8' }).waitFor({ timeout: 4000 });
	await page.unrouteAll({ behavior: 'ignoreErrors' });
	await it.done();
});

await test('filter: completion, error place, result', async () => {
	const it = await open(`/experiments/${own}/runs`);
	const { page } = it;
	const box = page.getByRole('combobox', { name: 'Filter runs' });
	await box.click();
	await box.pressSequentially('metrics.rm');
	await page.getByRole('option', { name: /rmse/ }).waitFor();
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('Enter');
	assert.match(await box.inputValue(), /^metrics\.rmse $/);
	await box.pressSequentially('<');
	await page.keyboard.press('Enter');
	await page.getByText(/value is missing \(character/).waitFor();
	await box.pressSequentially(' 0.75');
	await page.keyboard.press('Enter');
	await page.waitForURL(/q=metrics/);
	await page.getByText('3 runs').waitFor();
	await it.done();
});

await test('filter: a name with a slash gets its backticks, and back undoes it', async () => {
	const it = await open(`/experiments/${own}/runs?charts=0`);
	const { page } = it;
	const box = page.getByRole('combobox', { name: 'Filter runs' });
	await box.click();
	await box.pressSequentially('metrics.val/loss < 0.06');
	await page.keyboard.press('Enter');
	await page.getByText('4 runs').waitFor();
	assert.equal(await box.inputValue(), 'metrics.`val/loss` < 0.06');
	await page.getByRole('button', { name: 'Duration', exact: true }).click();
	await page.waitForURL(/sort=-duration/);
	await page.goBack();
	await page.waitForURL((url) => !url.search.includes('sort=') && url.search.includes('q='));
	await page.goBack();
	await page.getByText('9 runs').waitFor();
	assert.equal(await box.inputValue(), '');
	await it.done();
});

await test('filter: a text the server refuses is explained', async () => {
	const it = await open(`/experiments/${own}/runs?q=${encodeURIComponent("metrics.rmse = 'x'")}`, { expect: ['400'] });
	await it.page.getByRole('alert').first().waitFor();
	await it.done();
});

await test('groups: mean and spread, then open one', async () => {
	const it = await open(`/experiments/${own}/runs?group=params.alpha`);
	await it.page.getByRole('button', { name: 'Open', exact: true }).first().click();
	await it.page.waitForURL(/q=params/);
	await it.page.getByText('3 runs').waitFor();
	await it.done();
	/* a run without metrics makes a group without any */
	const { run } = await api('mlflow/runs/create', { experiment_id: own, run_name: 'bare', start_time: Date.now(), tags: [] });
	const bare = await open(`/experiments/${own}/runs?group=tags.family`);
	await bare.page.locator('.groups tbody tr', { hasText: 'none' }).waitFor();
	await bare.done();
	await api('mlflow/runs/delete', { run_id: run.info.run_id });
});

await test('charts: those across runs take more runs than curves do', async () => {
	const more = [];
	for (let i = 30; i < 34; i++)
		more.push(await makeRun(i));
	const it = await open(`/experiments/${own}/runs?charts=1`);
	await it.page.getByText('10 in the charts').waitFor();
	await it.page.getByRole('button', { name: 'Scatter', exact: true }).click();
	await it.page.getByText('13 in the charts').waitFor();
	await it.page.getByText('13 of 13 runs').waitFor();
	await it.done();
	for (const run_id of more)
		await api('mlflow/runs/delete', { run_id });
});

await test('columns: choose, hide, pin, find in the link', async () => {
	const it = await open(`/experiments/${own}/runs`);
	const { page } = it;
	await page.getByRole('button', { name: /^Columns/ }).first().click();
	await page.getByRole('searchbox', { name: 'Search columns' }).fill('no such key');
	await page.getByText('No column has no such key in its name').waitFor();
	await page.getByRole('searchbox', { name: 'Search columns' }).fill('val');
	await page.getByRole('checkbox', { name: 'val/loss' }).click();
	await page.waitForFunction(() => new URLSearchParams(location.search).has('cols'));
	await page.keyboard.press('Escape');
	await page.getByRole('columnheader', { name: /rmse/ }).first().hover();
	await page.getByRole('button', { name: 'Column rmse' }).click();
	await page.getByRole('button', { name: 'Pin to the left' }).click();
	await page.waitForURL(/pin=metrics\.rmse/);
	assert.equal(await page.getByRole('columnheader', { name: /val\/loss/ }).count(), 0);
	await it.done();
});

await test('columns: moved by a key and by dragging, kept in the link', async () => {
	const it = await open(`/experiments/${own}/runs?charts=0&cols=metrics.rmse,metrics.mae,params.alpha`);
	const { page } = it;
	const titles = () => page.locator('.g-top [role=columnheader]').evaluateAll((all) => all.map((h) => h.dataset.column).filter((c) => /^(metrics|params)/.test(c)));
	assert.deepEqual(await titles(), ['metrics.rmse', 'metrics.mae', 'params.alpha']);
	await page.getByRole('button', { name: 'rmse', exact: true }).focus();
	await page.keyboard.press('Shift+ArrowRight');
	await page.waitForURL(/cols=metrics\.mae,metrics\.rmse,params\.alpha/);
	assert.deepEqual(await titles(), ['metrics.mae', 'metrics.rmse', 'params.alpha']);
	await page.waitForFunction(() => document.activeElement?.closest('[data-column]')?.dataset.column === 'metrics.rmse');
	const from = await page.getByRole('button', { name: 'alpha', exact: true }).boundingBox();
	const to = await page.locator('.g-top [data-column="metrics.mae"]').boundingBox();
	await page.mouse.move(from.x + 5, from.y + 5);
	await page.mouse.down();
	await page.mouse.move(from.x - 40, from.y + 5, { steps: 4 });
	await page.mouse.move(to.x + 8, from.y + 5, { steps: 4 });
	await page.mouse.up();
	await page.waitForURL(/cols=params\.alpha,metrics\.mae,metrics\.rmse/);
	assert.ok(!page.url().includes('sort='), 'dragging does not sort');
	await it.done();
});

await test('columns: least, largest and best of the history', async () => {
	const it = await open(`/experiments/${own}/runs?charts=0&cols=metrics.val/loss,min.val/loss,max.val/loss&sort=min.val/loss`);
	const { page } = it;
	const cells = () => page.locator('.g-body .g-row').first().locator('.g-cell.num').allTextContents();
	await page.waitForFunction(() => document.querySelector('.g-body .g-row .g-cell.num')?.textContent);
	assert.deepEqual(await cells(), ['0.025', '0.025', '1']);
	await page.getByRole('button', { name: /^Columns/ }).first().click();
	await page.getByRole('button', { name: 'val/loss, best of its history' }).click();
	await page.waitForURL(/best\.val\/loss/);
	await page.waitForFunction(() => [...document.querySelectorAll('.g-body .g-row')][0]?.querySelectorAll('.g-cell.num').length === 4);
	await page.waitForFunction(() => document.querySelector('.g-body .g-row')?.querySelectorAll('.g-cell.num')[3]?.textContent === '0.025');
	await it.done();
});

await test('pins: runs stay on top, in the link, and go again', async () => {
	const it = await open(`/experiments/${own}/runs?charts=0&sort=metrics.rmse`);
	const { page } = it;
	await page.getByRole('grid').focus();
	await page.keyboard.press('End');
	await page.keyboard.press('p');
	await page.waitForURL(/top=/);
	await page.locator('.g-sticky .r-name a', { hasText: 'walk-8' }).waitFor();
	await page.reload();
	await settled(page);
	assert.deepEqual(await page.locator('.g-sticky .r-name a').allTextContents(), ['walk-8']);
	await page.locator('.g-sticky').getByRole('button', { name: 'Unpin walk-8' }).click();
	await page.waitForFunction(() => !location.search.includes('top=') && !document.querySelector('.g-sticky'));
	await it.done();
});

await test('an address that leads nowhere says so, to a browser', async () => {
	const it = await open('/no/such/page', { expect: ['404'] });
	await it.page.getByRole('link', { name: /xperiments/ }).first().waitFor();
	await it.done();
	const answer = await fetch(`${BASE}no/such/page`, { headers: { Accept: 'application/json' } });
	assert.equal(answer.status, 404);
	assert.equal((await answer.json()).error_code, 'ENDPOINT_NOT_FOUND');
});

await test('saved view: by name and by link', async () => {
	const it = await open(`/experiments/${own}/runs?sort=metrics.rmse&charts=0`);
	const { page } = it;
	await page.getByRole('button', { name: /^Views?/ }).click();
	await page.getByRole('button', { name: /Save this view/ }).click();
	await page.getByRole('textbox', { name: 'Name' }).fill('by rmse');
	await page.getByRole('button', { name: 'Save', exact: true }).click();
	await page.waitForURL(/v=/);
	const v = new URL(page.url()).searchParams.get('v');
	await page.goto(`${BASE}experiments/${own}/runs?v=${v}`);
	await page.waitForURL(/sort=metrics\.rmse/);
	await settled(page);
	await page.getByText('by rmse').first().waitFor();
	await it.done();
});

await test('csv: one line a run, formulas harmless', async () => {
	const it = await open(`/experiments/${own}/runs`);
	const { page } = it;
	await page.getByRole('button', { name: 'More', exact: true }).click();
	const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: /Download CSV/ }).click()]);
	const text = readFileSync(await download.path(), 'utf8').trim().split('\r\n');
	assert.equal(text.length, 10);
	assert.match(text[0], /^run_id,run_name,.*metrics\.rmse/);
	await it.done();
});

await test('experiments: keys move, fold and open', async () => {
	const it = await open(`/experiments?q=walk-${stamp}`);
	const { page } = it;
	const focused = () => page.evaluate(() => document.activeElement.textContent);
	await page.getByRole('treegrid').focus();
	await page.keyboard.press('ArrowDown');
	assert.match(await focused(), /^browser-test/);
	await page.keyboard.press('ArrowLeft');
	await page.getByRole('link', { name: `walk-${stamp}` }).waitFor({ state: 'detached' });
	await page.keyboard.press('ArrowRight');
	await page.getByRole('link', { name: `walk-${stamp}` }).waitFor();
	await page.keyboard.press('j');
	assert.equal(await focused(), `walk-${stamp}`);
	await page.keyboard.press('Enter');
	await page.waitForURL(new RegExp(`experiments/${own}/runs`));
	await settled(page);
	await it.done();
});

await test('experiment: create, rename, describe, delete, restore', async () => {
	const it = await open('/experiments');
	const { page } = it;
	const name = `browser-test/made-${stamp}`;
	await page.getByRole('button', { name: 'New experiment' }).click();
	await page.getByRole('textbox', { name: 'Name' }).fill(name);
	await page.getByRole('button', { name: 'Create', exact: true }).click();
	await page.waitForURL(/experiments\/\d+\/runs/);
	await page.getByText('No runs in this experiment yet').waitFor();
	await page.getByRole('button', { name: 'More', exact: true }).click();
	await page.getByRole('button', { name: 'Rename…' }).click();
	await page.getByRole('textbox', { name: 'Name' }).fill(`${name}-b`);
	await page.getByRole('button', { name: 'Rename', exact: true }).click();
	await page.getByRole('heading', { name: `made-${stamp}-b` }).waitFor();
	await page.getByRole('button', { name: 'More', exact: true }).click();
	await page.getByRole('button', { name: /Details/ }).click();
	await page.getByRole('button', { name: 'Write one' }).click();
	await page.getByLabel('Markdown').fill('Hello **world**');
	await page.getByRole('button', { name: 'Save', exact: true }).click();
	await page.locator('.md strong', { hasText: 'world' }).waitFor();
	await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
	await page.getByRole('button', { name: 'More', exact: true }).click();
	await page.getByRole('button', { name: /Delete experiment/ }).click();
	await page.getByRole('button', { name: 'Delete', exact: true }).click();
	await page.waitForURL(/\/experiments$/);
	await page.goto(`${BASE}experiments?archived=1&q=made-${stamp}`);
	await settled(page);
	await page.getByRole('button', { name: /^More for/ }).first().click();
	await page.getByRole('button', { name: 'Restore' }).click();
	await page.getByText('Restored').waitFor();
	const { experiments: all = [] } = await api('tallyd/experiments?view_type=ACTIVE_ONLY');
	const made = all.find((e) => e.name === `${name}-b`);
	assert.ok(made, 'the restored experiment is in the list');
	await api('mlflow/experiments/delete', { experiment_id: made.experiment_id });
	await it.done();
});

await test('run: rename, tag, untag, delete, restore', async () => {
	const run_id = await makeRun(9);
	const it = await open(`/runs/${run_id}`);
	const { page } = it;
	await page.getByRole('button', { name: 'Rename' }).click();
	await page.getByRole('textbox', { name: 'Name' }).fill('renamed by hand');
	await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
	await page.getByRole('heading', { name: 'renamed by hand' }).waitFor();
	await page.getByRole('button', { name: 'Add tag' }).click();
	await page.getByRole('textbox', { name: 'Key' }).fill('colour');
	await page.getByRole('textbox', { name: 'Value' }).fill('blue');
	await page.getByRole('button', { name: 'Save', exact: true }).click();
	await page.getByText('colour: blue').waitFor();
	await page.getByRole('button', { name: 'Remove tag colour' }).click();
	await page.getByText('colour: blue').waitFor({ state: 'detached' });
	await page.getByRole('button', { name: 'Delete', exact: true }).click();
	await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
	await page.waitForURL(/experiments\/\d+\/runs/);
	await page.goto(`${BASE}runs/${run_id}`);
	await page.getByRole('button', { name: 'Restore' }).click();
	await page.getByRole('button', { name: 'Delete', exact: true }).waitFor();
	await api('mlflow/runs/delete', { run_id });
	await it.done();
});

await test('note: markdown is read, html in it is text', async () => {
	const it = await open(`/runs/${runs[0]}`);
	await it.page.locator('.md strong', { hasText: 'note' }).waitFor();
	assert.equal(await it.page.locator('.md script').count(), 0);
	assert.equal(await it.page.locator('.md li:has(input:checked)').textContent(), 'two');
	assert.ok(await it.page.getByText('<script>alert(1)</script>').count());
	await it.done();
});

if (withFiles)
	await test('artifacts: open a folder, look at a file, all as one zip', async () => {
		const it = await open(`/runs/${withFiles}/artifacts`);
		const { page } = it;
		const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download as zip' }).click()]);
		const bytes = readFileSync(await download.path());
		assert.equal(bytes.readUInt32LE(0), 0x04034b50, 'starts as a zip file does');
		assert.ok(bytes.includes('PK\x05\x06'), 'has its directory at the end');
		for (const row of await page.locator('.art-tree .art-row').all()) {
			await row.click();
			await settled(page);
		}
		await it.done();
	});

await test("links of MLflow's clients lead to our pages", async () => {
	for (const [hash, want] of [[`#/experiments/${own}/runs/${runs[0]}`, `runs/${runs[0]}`], [`#/experiments/${own}`, `experiments/${own}/runs`], ['#/models', 'models'], [`#/experiments/${own}/runs/${runs[0]}/artifacts`, `runs/${runs[0]}/artifacts`]]) {
		const it = await open(`/${hash}`);
		assert.equal(it.page.url(), BASE + want);
		await it.done();
	}
});

await test('find: ctrl k to an experiment', async () => {
	const it = await open('/models');
	await it.page.keyboard.press('Control+k');
	await it.page.getByRole('combobox', { name: 'Find' }).fill(`walk-${stamp}`);
	await it.page.getByRole('option', { name: new RegExp(`walk-${stamp}`) }).waitFor();
	await it.page.keyboard.press('Enter');
	await it.page.waitForURL(new RegExp(`experiments/${own}/runs`));
	await settled(it.page);
	await it.done();
});

await test('find: a run by its name', async () => {
	const it = await open('/models');
	await it.page.keyboard.press('Control+k');
	await it.page.getByRole('combobox', { name: 'Find' }).fill('walk-7');
	await it.page.getByRole('option', { name: /walk-7 .*Run in walk-/ }).first().click();
	await it.page.waitForURL(/\/runs\/[0-9a-f]{32}$/);
	await it.page.getByRole('heading', { name: 'walk-7' }).waitFor();
	await settled(it.page);
	await it.done();
});

await test('an experiment that is not there, and deleted runs: the way on is shown', async () => {
	const it = await open('/experiments/999999/runs', { expect: ['404'] });
	await it.page.getByRole('heading', { name: 'This experiment cannot be shown' }).waitFor();
	assert.equal(await it.page.getByRole('combobox', { name: 'Filter runs' }).count(), 0);
	await it.done();
	const gone = await open(`/experiments/${own}/runs?life=deleted`);
	await gone.page.getByRole('button', { name: 'Show active runs' }).first().click();
	await gone.page.getByText('9 runs').waitFor();
	await gone.done();
});

await test('the server goes away: said, and the page goes on by itself', async () => {
	const it = await open(`/experiments/${own}/runs?charts=0`, { expect: ['ERR_FAILED'] });
	const { page } = it;
	await page.route('**/tallyd/runs/table', (r) => r.abort());
	await page.getByRole('button', { name: 'rmse', exact: true }).first().click();
	await page.getByText('The server does not answer').waitFor();
	await page.unroute('**/tallyd/runs/table');
	await page.locator('.g-body .r-name a').first().waitFor({ timeout: 5000 });
	assert.equal(await page.getByText('The server does not answer').count(), 0);
	await it.done();
	const late = await open('/settings', { expect: ['ERR_FAILED'] });
	await late.page.route('**/mlflow/runs/get*', (r) => r.abort());
	await late.page.goto(`${BASE}runs/${runs[0]}`);
	await late.page.getByText('The server does not answer').waitFor();
	await late.page.unroute('**/mlflow/runs/get*');
	await late.page.getByRole('heading', { name: 'walk-0' }).waitFor({ timeout: 5000 });
	await late.done();
});

await test('nested runs: shown under their parent and in the charts, on a phone too', async () => {
	const { experiment_id } = await api('mlflow/experiments/create', { name: `browser-test/nested-${stamp}` });
	const make = async (run_name, parent) => {
		const { run } = await api('mlflow/runs/create', { experiment_id, run_name, start_time: Date.now(), tags: parent ? [{ key: 'mlflow.parentRunId', value: parent }] : [] });
		if (parent)
			for (const step of [0, 1, 2])
				await api('mlflow/runs/log-metric', { run_id: run.info.run_id, key: 'loss', value: 1 / (step + 1), timestamp: Date.now(), step });
		return run.info.run_id;
	};
	const parent = await make('sweep');
	for (const name of ['child-a', 'child-b'])
		await make(name, parent);
	const it = await open(`/experiments/${experiment_id}/runs?charts=1`);
	await it.page.getByText('1 top run, 2 nested').waitFor();
	await it.page.locator('.g-body .r-name a', { hasText: 'child-a' }).waitFor();
	await it.page.locator('.chart-card .chart-key', { hasText: 'child-b' }).first().waitFor();
	await it.page.getByRole('button', { name: 'Children of sweep' }).click();
	await it.page.locator('.g-body .r-name a', { hasText: 'child-a' }).waitFor({ state: 'detached' });
	await it.done();
	const phone = await open(`/experiments/${experiment_id}/runs`, { width: 360, height: 800 });
	await phone.page.locator('.c-name', { hasText: 'child-a' }).waitFor();
	await phone.page.getByRole('button', { name: 'Children of sweep' }).click();
	await phone.page.locator('.c-name', { hasText: 'child-a' }).waitFor({ state: 'detached' });
	await phone.done();
	await api('mlflow/experiments/delete', { experiment_id });
});

await test('long names: a phone shows compare and the chosen tab without scrolling sideways', async () => {
	const { experiment_id } = await api('mlflow/experiments/create', { name: `browser-test/long-${stamp}` });
	const ids = [];
	for (let i = 0; i < 2; i++)
		ids.push((await api('mlflow/runs/create', { experiment_id, run_name: `a run whose name tells everything about its settings lr-0.001-wd-0.05-bs-512 ${i}`, start_time: Date.now() })).run.info.run_id);
	for (const [path, width] of [[`/experiments/${experiment_id}/compare?runs=${ids.join(',')}`, 360], [`/runs/${ids[0]}/artifacts`, 360], [`/experiments/${experiment_id}/runs`, 768], [`/experiments/${experiment_id}/runs`, 2560]]) {
		const it = await open(path, { width, height: 800 });
		assert.ok(await it.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} at ${width} scrolls sideways`);
		const tab = it.page.locator('.tabs [aria-current]');
		if (await tab.count()) {
			const box = await tab.boundingBox();
			assert.ok(box.x >= 0 && box.x + box.width <= width, `${path}: the chosen tab is out of sight`);
		}
		await it.done();
	}
	await api('mlflow/experiments/delete', { experiment_id });
});

await test('keys: ? lists them, escape closes', async () => {
	const it = await open('/experiments');
	await it.page.keyboard.press('?');
	await it.page.getByRole('dialog', { name: 'Keys' }).waitFor();
	await accessible(it.page, 'keys');
	await it.page.keyboard.press('Escape');
	await it.page.getByRole('dialog').waitFor({ state: 'detached' });
	await it.done();
});

await test('theme: by hand, kept over a reload', async () => {
	const it = await open('/experiments');
	await it.page.getByRole('button', { name: 'Dark theme' }).click();
	await it.page.reload();
	assert.equal(await it.page.evaluate(() => document.documentElement.dataset.theme), 'dark');
	await settled(it.page);
	await it.done();
});

await test('live: a new run and a new value appear within two seconds', async () => {
	const it = await open(`/experiments/${own}/runs`);
	const { page } = it;
	await page.locator('.live[data-state="live"]').first().waitFor();
	const created = Date.now();
	const run_id = await makeRun(21, { running: true });
	await page.locator('.g-body .r-name a', { hasText: 'walk-21' }).waitFor({ timeout: 4000 });
	console.log(`     new row after ${Date.now() - created} ms, 44 values logged meanwhile`);
	await page.goto(`${BASE}runs/${run_id}`);
	await settled(page);
	await page.locator('.live[data-state="live"]').first().waitFor();
	const logged = Date.now();
	await api('mlflow/runs/log-metric', { run_id, key: 'rmse', value: 0.12345, timestamp: logged, step: 1 });
	await page.getByText('0.1235').waitFor({ timeout: 4000 });
	console.log(`     new value after ${Date.now() - logged} ms`);
	await api('mlflow/runs/update', { run_id, status: 'FINISHED', end_time: Date.now() });
	await page.getByText('Finished').first().waitFor({ timeout: 4000 });
	await api('mlflow/runs/delete', { run_id });
	await it.done();
});

await test('live: eight tabs share one stream and all still fetch', async () => {
	const context = await browser.newContext();
	const tabs = [];
	for (let i = 0; i < 8; i++) {
		const page = await context.newPage();
		track(page);
		await page.goto(`${BASE}experiments/${own}/runs`);
		await page.locator('.live[data-state="live"]').first().waitFor({ timeout: PATIENCE_MS });
		await page.locator('.g-body .r-name').first().waitFor({ timeout: PATIENCE_MS });
		tabs.push(page);
	}
	const run_id = await makeRun(22);
	for (const page of tabs)
		await page.locator('.g-body .r-name a', { hasText: 'walk-22' }).waitFor({ timeout: 8000 });
	await api('mlflow/runs/delete', { run_id });
	await context.close();
});

await test('speed: first rows, biggest experiment', async () => {
	const it = await open('/settings');
	for (const [path, row] of [['experiments', '.x-body .x-row'], [`experiments/${own}/runs`, '.g-body .r-name a'], [`experiments/${biggest.experiment_id}/runs`, '.g-body .r-name a']]) {
		const times = [];
		for (let i = 0; i < 3; i++) {
			await it.page.goto(`${BASE}${path}`);
			await it.page.locator(row).first().waitFor();
			times.push(await it.page.evaluate(() => Math.round(performance.now())));
		}
		console.log(`     ${path}: first row at ${Math.min(...times)} ms (${times.join(', ')})`);
	}
	await settled(it.page);
	await it.done();
});

if (process.env.LARGE)
	await scale({ test, open, settled, BASE });

await test('charts, compare and contour on their numbers', async () => {
	const it = await open('/experiments');
	await charts(it.page, BASE, (ok, words) => assert.ok(ok, words));
	await it.done();
});

await test('viewers show each kind of file', async () => {
	const it = await open('/experiments');
	await viewers(it.page, BASE, (ok, words) => assert.ok(ok, words));
	await it.done();
});

for (const id of [own, empty])
	await api('mlflow/experiments/delete', { experiment_id: id });
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
