/* Steps of the browser walk that belong to charts, compare and viewers. run.mjs calls this with a page that notes errors:
   check(truth, words) fails the step. What is logged here is known to the digit, so that the contour is tested on its numbers. */

const ALPHAS = [0.1, 0.4, 1];
const RATIOS = [0, 0.3, 1];
/* A plane: piecewise linear pieces must give it back everywhere. It is 0 at the first run. */
const plane = (a, l) => 10 * (a - 0.1) + 4 * l;
const bump = (i) => [0, 2, 1, 5, 0, 3, 1, 2, 4][i];
const STEPS = 3000;

async function api(BASE, path, body) {
	const answer = await fetch(`${BASE}ajax-api/2.0/${path}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
	const text = await answer.text();
	if (!answer.ok)
		throw new Error(`${path}: ${answer.status} ${text.slice(0, 300)}`);
	return text ? JSON.parse(text) : {};
}

async function makeData(BASE) {
	const { experiment_id } = await api(BASE, 'mlflow/experiments/create', { name: `browser-test/charts-${Date.now()}` });
	const runs = [];
	for (let i = 0; i < 9; i++) {
		const a = ALPHAS[i % 3], l = RATIOS[Math.floor(i / 3)];
		const start_time = Date.now() - 3_600_000;
		const { run } = await api(BASE, 'mlflow/runs/create', { experiment_id, run_name: `chart-${i}`, start_time });
		const run_id = run.info.run_id;
		runs.push(run_id);
		const params = { alpha: a, l1_ratio: l, fixed: 7, line: a * 2 + 1, kind: i % 2 ? 'odd' : 'even' };
		const metrics = [
			{ key: 'plane', value: plane(a, l), timestamp: start_time, step: 0 },
			{ key: 'bump', value: bump(i), timestamp: start_time, step: 0 },
		];
		await api(BASE, 'mlflow/runs/log-batch', { run_id, metrics, tags: [], params: Object.entries(params).map(([key, value]) => ({ key, value: String(value) })) });
		if (i < 2) {
			const loss = [];
			for (let step = 0; step < STEPS; step++)
				loss.push({ key: 'val/loss', value: step === 1000 && i === 0 ? 'NaN' : step === 1500 ? (i ? 50 : 2) : 1 + Math.exp(-step / 500), timestamp: start_time + step * 100, step });
			for (let k = 0; k < STEPS; k += 1000)
				await api(BASE, 'mlflow/runs/log-batch', { run_id, metrics: loss.slice(k, k + 1000), params: [], tags: [] });
			await api(BASE, 'mlflow/runs/log-batch', { run_id, metrics: [0, 1000, 2000, 2999].map((step) => ({ key: 'val/acc', value: step / 3000, timestamp: start_time + step * 100, step })).concat({ key: 'a few', value: i, timestamp: start_time, step: 0 }), params: [], tags: [] });
		}
		await api(BASE, 'mlflow/runs/update', { run_id, status: 'FINISHED', end_time: start_time + 300_000 });
	}
	return { experiment_id, runs };
}

const near = (a, b) => Math.abs(a - b) < 1e-9;

export default async function charts(page, BASE, check) {
	const { experiment_id, runs } = await makeData(BASE);
	const open = async (query, wait) => {
		await page.goto(`${BASE}experiments/${experiment_id}/compare?${query}`);
		await page.locator(wait).first().waitFor();
	};
	const all = `runs=${runs.join(',')}`;
	const contour = () =>
		page.locator('[data-contour]').evaluate((node) => ({ kind: node.dataset.contour, text: node.textContent, points: node.contour.points }));
	const at = (x, y) => page.locator('[data-contour]').evaluate((node, [px, py]) => String(node.contour.at(px, py)), [x, y]);

	/* Contour on its numbers. */
	await open(`${all}&tab=contour&x=params.alpha&y=params.l1_ratio&z=metrics.plane&logx=0`, '[data-contour="ok"]');
	const flat = await contour();
	check(flat.points.length === 9, `nine points are drawn, not ${flat.points.length}`);
	check(flat.points.some((p) => p.z === 0 && p.x === 0.1 && p.y === 0), 'the run whose z is 0 is among them');
	for (const [x, y] of [[0.1, 0], [0.25, 0.5], [0.55, 0.2], [0.9, 0.95], [1, 1]])
		check(near(Number(await at(x, y)), plane(x, y)), `z at ${x}, ${y} is ${plane(x, y)}, not ${await at(x, y)}`);
	check((await at(1.01, 0.5)) === 'NaN' && (await at(0.5, -0.01)) === 'NaN', 'nothing is drawn outside the hull');
	const [px, py] = await page.locator('[data-contour]').evaluate((node) => node.contour.place(0.4, 0.3));
	const box = await page.locator('[data-contour] .chart-canvas').boundingBox();
	await page.mouse.move(box.x + px, box.y + py);
	await page.locator('.chart-tip', { hasText: 'chart-4' }).waitFor();

	await open(`${all}&tab=contour&x=params.alpha&y=params.l1_ratio&z=metrics.bump&logx=0`, '[data-contour="ok"]');
	for (let i = 0; i < 9; i++)
		check(near(Number(await at(ALPHAS[i % 3], RATIOS[Math.floor(i / 3)])), bump(i)), `the surface goes through run ${i}`);

	await open(`${all}&tab=contour&x=params.fixed&y=params.l1_ratio&z=metrics.bump`, '[data-contour="constant-x"]');
	check(/fixed has one value, 7/.test((await contour()).text), 'a constant axis is named');
	await open(`${all}&tab=contour&x=params.alpha&y=params.line&z=metrics.bump&logx=0`, '[data-contour="collinear"]');
	check(/on one line/.test((await contour()).text), 'points on one line are refused with a reason');
	await open(`runs=${runs[0]},${runs[4]}&tab=contour&x=params.alpha&y=params.l1_ratio&z=metrics.bump`, '[data-contour="few"]');
	check(/2 distinct points/.test((await contour()).text), 'two points are refused with a reason');

	/* Without a choice: the first metric that every run has, not one that most lack. */
	await open(`${all}&tab=scatter`, '.chart-canvas canvas');
	await page.getByRole('heading', { name: /^bump by / }).waitFor();
	await page.getByText('9 of 9 runs').waitFor();

	/* What is drawn follows the theme. */
	await open(`${all}&tab=scatter&x=params.alpha&y=metrics.plane`, '.chart-canvas canvas');
	const ink = () => page.locator('.chart-canvas canvas').first().evaluate((c) => c.toDataURL().length + c.toDataURL().slice(-200));
	const before = await ink();
	await page.evaluate(() => {
		const root = document.documentElement;
		root.dataset.theme = root.dataset.theme === 'dark' ? 'light' : 'dark';
	});
	await page.waitForFunction((old) => {
		const url = document.querySelector('.chart-canvas canvas').toDataURL();
		return url.length + url.slice(-200) !== old;
	}, before);

	/* Parallel: a typed range keeps what passes, and is in the link. */
	await open(`${all}&tab=parallel`, '.brush');
	await page.getByLabel('alpha to', { exact: true }).fill('0.4');
	await page.getByLabel('alpha to', { exact: true }).press('Tab');
	await page.getByText('6 of 9 runs in the ranges').waitFor();
	check(decodeURIComponent(page.url()).includes('brush=params.alpha:..0.4'), 'the range is in the link');
	const canvas = await page.locator('.chart-canvas').boundingBox();
	check(canvas.width > 300, 'the axes have room');

	/* Box and bars. */
	await open(`${all}&tab=box&x=params.kind&y=metrics.bump`, '.chart-canvas canvas');
	await page.getByText('quartiles and median').waitFor();
	await open(`${all}&tab=bar&y=metrics.bump`, '.chart-canvas canvas');

	/* Curves: NaN marked, the peak of a bucket kept, zoom gets the raw points, one cursor for all charts. */
	await open(`runs=${runs[0]},${runs[1]}&tab=curves&m=val`, '.chart-card .chart-key');
	const loss = page.getByRole('region', { name: 'val/loss' });
	await loss.getByText(/1 of \d+ points/).waitFor();
	check(/1 NaN/.test(await loss.locator('.chart-note').textContent()), 'a NaN inside a bucket is marked');
	const area = await loss.locator('.chart-canvas').boundingBox();
	await page.mouse.move(area.x + area.width / 2, area.y + area.height / 2);
	await loss.getByText(/^Step [\d,]+/).waitFor();
	const acc = page.getByRole('region', { name: 'val/acc' });
	await acc.getByText(/^Step [\d,]+/).waitFor();
	await page.mouse.move(area.x + area.width * 0.45, area.y + 60);
	await page.mouse.down();
	await page.mouse.move(area.x + area.width * 0.5, area.y + 60, { steps: 4 });
	await page.mouse.up();
	await page.waitForURL(/win=/);
	await loss.getByText('every point').waitFor();
	await page.getByRole('button', { name: 'Whole range' }).first().click();
	await loss.getByText(/1 of \d+ points/).waitFor();

	/* Export: the same drawing as PNG and SVG, the values as CSV. */
	const save = async (word) => {
		await loss.getByRole('button', { name: 'Export val/loss' }).click();
		const [file] = await Promise.all([page.waitForEvent('download'), loss.getByRole('button', { name: word }).click()]);
		const stream = await file.createReadStream();
		const parts = [];
		for await (const part of stream)
			parts.push(part);
		return Buffer.concat(parts);
	};
	const csv = (await save('CSV values')).toString();
	check(csv.startsWith('run_id,run_name,step,') && csv.includes(',50,'), 'CSV has the greatest value of the bucket');
	check((await save('SVG drawing')).toString().includes('<path'), 'SVG has the curve');
	check((await save('PNG picture')).subarray(1, 4).toString() === 'PNG', 'PNG is one');

	/* Tables: differences, baseline, turned. */
	await open(`${all}&diff=1`, '.cmp-grid');
	const names = await page.locator('.cmp-row .cmp-key').allTextContents();
	check(names.some((n) => n.startsWith('alpha')) && !names.some((n) => n.startsWith('fixed')), 'only what differs is left');
	await open(`${all}&tab=metrics&base=${runs[8]}&turn=1`, '.cmp-row.base');
	check((await page.locator('.cmp-row').count()) === 9, 'nine runs are rows');
	check((await page.locator('.cmp-row.base .cmp-acts .tag').textContent()) === 'Baseline', 'the baseline is named');

	await open('runs=', '.empty');
	await api(BASE, 'mlflow/experiments/delete', { experiment_id });
}
