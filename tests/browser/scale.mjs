/*
 * Large data: what keeps the page quick is asserted, not how quick this machine is today: how many elements there are, how many
 * requests go out and how many bytes come back, whatever the number of runs, metrics and experiments.
 */
import assert from 'node:assert/strict';

const LARGE = process.env.LARGE;
const RUNS = Number(process.env.LARGE_RUNS);
const KEYS = Number(process.env.LARGE_KEYS);
const EXPERIMENTS = Number(process.env.EXPERIMENTS);
const NODES_MOST = 3500;
const PAGE_BYTES_MOST = 150_000;
const FLICK = 12;

/* Requests of the table and what they brought. */
function watch(page) {
	const seen = [];
	page.on('response', (answer) => {
		if (/\/tallyd\/(runs\/table|keys|experiments)/.test(answer.url()))
			seen.push(answer.body().then((b) => ({ url: answer.url(), asked: answer.request().postDataJSON?.() ?? {}, bytes: b.length }), () => null));
	});
	return async () => (await Promise.all(seen.splice(0))).filter(Boolean);
}

const nodes = (page) => page.evaluate(() => document.querySelectorAll('*').length);
const scrolled = (page, change) => page.evaluate((c) => { const grid = document.querySelector('.grid'); Object.assign(grid, c); return new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go))); }, change);

export default async function scale({ test, open, settled, BASE }) {
	await test('scale: many runs, the first page asks for one page', async () => {
		const it = await open('/settings');
		const { page } = it;
		const asked = watch(page);
		await page.goto(`${BASE}experiments/${LARGE}/runs?charts=0`);
		await settled(page);
		await page.getByText(`${RUNS.toLocaleString('en')} runs`).waitFor();
		const tables = (await asked()).filter((r) => r.url.includes('runs/table'));
		const rows = tables.filter((r) => r.asked.max_results > 0);
		assert.ok(rows.every((r) => r.asked.total === false && r.asked.max_results <= 100), 'rows come without a count');
		assert.ok(tables.filter((r) => r.asked.max_results === 0 && !r.asked.filter).length <= 1, 'the runs are counted once');
		assert.ok(tables.length <= 6, `${tables.length} requests`);
		assert.ok(rows.reduce((n, r) => n + r.bytes, 0) < PAGE_BYTES_MOST, 'bytes of the rows');
		assert.ok(await nodes(page) < NODES_MOST, `${await nodes(page)} elements`);
		await it.done();
	});

	await test('scale: scrolling on goes by token, a far jump asks for one page', async () => {
		const it = await open(`/experiments/${LARGE}/runs?charts=0`);
		const { page } = it;
		const asked = watch(page);
		for (let at = 1; at <= 5; at++) {
			await scrolled(page, { scrollTop: at * 100 * 30 });
			await page.locator('.g-body .r-name a', { hasText: new RegExp(`^run-${RUNS - at * 100 - 5}$`) }).waitFor();
		}
		const on = (await asked()).filter((r) => r.asked.max_results > 0);
		assert.ok(on.length >= 4 && on.length <= 7, `${on.length} requests for five pages`);
		assert.ok(on.every((r) => r.asked.page_token && r.asked.offset === undefined), 'each goes on after the page before');
		/* a flick over the whole height */
		for (let at = 0; at <= FLICK; at++)
			await scrolled(page, { scrollTop: (at / FLICK) * RUNS * 30 });
		await page.locator('.g-body .r-name a', { hasText: /^run-1$/ }).waitFor();
		const far = (await asked()).filter((r) => r.asked.max_results > 0);
		assert.ok(far.length <= FLICK + 1 && far.every((r) => r.asked.max_results === 100), `${far.length} requests for a flick`);
		assert.ok(await nodes(page) < NODES_MOST, `${await nodes(page)} elements`);
		await it.done();
	});

	await test('scale: every metric as a column', async () => {
		const it = await open(`/experiments/${LARGE}/runs?charts=0&cols=metrics.*`);
		const { page } = it;
		assert.equal(await page.getByRole('grid').getAttribute('aria-colcount'), String(KEYS + 2 + 2));
		assert.ok(await nodes(page) < NODES_MOST, `${await nodes(page)} elements`);
		const asked = watch(page);
		for (let at = 1; at <= FLICK; at++)
			await scrolled(page, { scrollLeft: at * 20_000 });
		await page.waitForFunction(() => document.querySelector('.g-body .g-row')?.querySelectorAll('.g-cell.num').length > 4);
		await settled(page);
		const rows = (await asked()).filter((r) => r.asked.max_results > 0);
		assert.ok(rows.length <= FLICK + 1, `${rows.length} requests`);
		assert.ok(rows.every((r) => r.asked.columns.length <= 60), 'only the columns in sight are asked for');
		assert.ok(await nodes(page) < NODES_MOST, `${await nodes(page)} elements`);
		assert.ok(page.url().length < 300, 'the link holds no list of names');
		await it.done();
	});

	await test('scale: every metric as a column, on a phone', async () => {
		const it = await open('/settings', { width: 390, height: 844 });
		const { page } = it;
		const asked = watch(page);
		await page.goto(`${BASE}experiments/${LARGE}/runs?cols=metrics.*`);
		await page.locator('.g-body .c-name').first().waitFor();
		await settled(page);
		assert.ok((await asked()).filter((r) => r.asked.max_results > 0).every((r) => r.asked.columns.length <= 10), 'only the columns of a card are asked for');
		await it.done();
	});

	await test('scale: the picker of columns draws what is in sight', async () => {
		const it = await open(`/experiments/${LARGE}/runs?charts=0`);
		const { page } = it;
		const asked = watch(page);
		await page.waitForFunction(() => document.querySelector('.g-body .g-row')?.querySelectorAll('.g-cell.num').length > 4);
		const before = await nodes(page);
		await page.getByRole('button', { name: /^Columns/ }).first().click();
		await page.locator('.chooser .key-line').first().waitFor();
		await settled(page);
		const list = page.locator('.chooser .keys').first();
		for (let i = 0; i < 3; i++) {
			await list.evaluate((el) => { el.scrollTop = el.scrollHeight; });
			await settled(page);
		}
		assert.ok(await page.locator('.chooser .key-line').count() <= 40, 'lines drawn');
		const grown = await nodes(page) - before;
		assert.ok(grown < 400, `${grown} elements of the picker`);
		const keys = (await asked()).filter((r) => r.url.includes('/keys'));
		assert.ok(keys.every((r) => r.bytes < 10_000), 'each part of the list is small');
		await page.getByRole('searchbox', { name: 'Search columns' }).fill(`layer/${KEYS - 1}/`);
		await page.locator('.chooser .key-line', { hasText: `layer/${KEYS - 1}/norm` }).waitFor();
		await it.done();
	});

	await test('scale: many experiments', async () => {
		const it = await open('/settings');
		const { page } = it;
		const asked = watch(page);
		await page.goto(`${BASE}experiments`);
		await page.locator('.x-body .x-row').first().waitFor();
		await settled(page);
		const lists = await asked();
		assert.deepEqual(lists.map((r) => new URL(r.url).pathname.split('/tallyd/')[1]).sort(), ['experiments', 'experiments/counts']);
		assert.ok(lists[0].bytes < EXPERIMENTS * 260, 'bytes of the list');
		assert.ok(await nodes(page) < 1500, `${await nodes(page)} elements`);
		await page.getByRole('searchbox', { name: 'Search experiments' }).fill('many/');
		await page.waitForFunction(() => document.querySelectorAll('.x-body .x-row').length > 20);
		assert.ok(await nodes(page) < 2500, `${await nodes(page)} elements with everything open`);
		await page.getByRole('searchbox', { name: 'Search experiments' }).fill(`try-${EXPERIMENTS - 1}`);
		await page.getByRole('link', { name: new RegExp(`try-${EXPERIMENTS - 1}`) }).waitFor();
		await it.done();
	});
}
