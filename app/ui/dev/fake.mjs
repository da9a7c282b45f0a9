/*
 * For work on the page without the C server: serves dist/ with the same headers, passes MLflow's endpoints on to a real
 * `mlflow server`, and answers tallyd's own endpoints from it. Not fast, not complete, never shipped.
 *   node dev/fake.mjs <port> <address of mlflow server> [prefix]
 * With OWN=1 the address is a tallyd, and everything but the page itself goes there.
 * Experiment 900000 is made up: 100,000 runs and 12,000 metric keys.
 */
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, resolve } from 'node:path';
import { Readable } from 'node:stream';

const [port = '7500', upstream = 'http://127.0.0.1:7501', prefix = ''] = process.argv.slice(2);
const dist = resolve(import.meta.dirname, '../dist');
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; media-src 'self' blob:; worker-src 'self'; "
	+ "frame-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.html': 'text/html; charset=utf-8' };
const BIG = '900000';
const BIG_RUNS = 100_000;
const BIG_KEYS = 12_000;
const ALWAYS = ['mlflow.user', 'mlflow.source.name', 'mlflow.source.type', 'mlflow.source.git.commit', 'mlflow.parentRunId', 'mlflow.note.content'];

const views = [];
const streams = new Set();
let seq = 0;

class Refusal extends Error {
	constructor(status, body) {
		super(body.message);
		this.status = status;
		this.body = body;
	}
}

async function mlflow(path, body) {
	const answer = await fetch(`${upstream}/api/2.0/mlflow/${path}`, body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
	const text = await answer.text();
	if (!answer.ok)
		throw new Refusal(answer.status, JSON.parse(text));
	return JSON.parse(text);
}

const mapped = (list, value = (x) => x.value) => Object.fromEntries((list ?? []).map((x) => [x.key, value(x)]));

async function everyRun(experiment_ids, filter, run_view_type) {
	const all = [];
	let page_token;
	do {
		const page = await mlflow('runs/search', { experiment_ids, filter: filter || undefined, run_view_type: run_view_type || 'ACTIVE_ONLY', max_results: 1000, page_token });
		for (const run of page.runs ?? [])
			all.push({
				info: run.info, metrics: mapped(run.data.metrics), params: mapped(run.data.params), tags: mapped(run.data.tags),
				datasets: (run.inputs?.dataset_inputs ?? []).map((d) => ({ name: d.dataset.name, digest: d.dataset.digest, context: mapped(d.tags)['mlflow.data.context'] })),
				models: (run.outputs?.model_outputs ?? []).map((m) => m.model_id),
			});
		page_token = page.next_page_token;
	} while (page_token);
	return all;
}

function bigRun(i, columns) {
	const t = Date.now() - i * 60_000;
	const run = { info: { run_id: i.toString(16).padStart(32, '0'), run_name: `big-${i}`, experiment_id: BIG, user_id: 'sweep', status: i % 17 ? 'FINISHED' : 'FAILED', start_time: t, end_time: t + 1000 * (i % 5000), lifecycle_stage: 'active' }, metrics: {}, params: {}, tags: { 'mlflow.user': 'sweep', 'mlflow.source.name': 'sweep.py' }, datasets: [], models: [] };
	for (const column of columns) {
		if (column.startsWith('metrics.'))
			run.metrics[column.slice(8)] = Math.sin(i * 0.37 + column.length * 3 + Number(column.slice(-3)) || 0.5);
		if (column.startsWith('params.'))
			run.params[column.slice(7)] = String(((i * 7919) % 100) / 100);
	}
	return run;
}

function ofColumn(run, column) {
	const [kind, ...rest] = column.split('.');
	const key = rest.join('.').replace(/^[`"]|[`"]$/g, '');
	if (kind === 'metrics')
		return run.metrics[key] === undefined ? undefined : Number(run.metrics[key]);
	if (kind === 'params' || kind === 'tags')
		return run[kind][key];
	const name = kind === 'attributes' ? key : kind;
	return run.info[{ status: 'status', start_time: 'start_time', Created: 'start_time', end_time: 'end_time', run_name: 'run_name', user_id: 'user_id', duration: 'end_time' }[name] ?? name];
}

async function table({ experiment_ids, filter, order_by = [], run_view_type, offset = 0, max_results = 100, columns = [] }) {
	if (experiment_ids[0] === BIG) {
		const n = Math.max(0, Math.min(max_results, BIG_RUNS - offset));
		return { total: BIG_RUNS, runs: Array.from({ length: n }, (_, i) => bigRun(offset + i, columns)) };
	}
	const runs = await everyRun(experiment_ids, filter, run_view_type);
	for (const order of [...order_by].reverse()) {
		const [, column, down] = /^(.*?)(?:\s+(ASC|DESC))?$/i.exec(order);
		const sign = /desc/i.test(down ?? '') ? -1 : 1;
		runs.sort((a, b) => {
			const [x, y] = [ofColumn(a, column), ofColumn(b, column)];
			if (x === undefined || y === undefined)
				return (x === undefined) - (y === undefined);
			return x < y ? -sign : x > y ? sign : 0;
		});
	}
	const kept = new Set([...columns, ...ALWAYS.map((t) => `tags.${t}`)]);
	for (const run of runs)
		for (const kind of ['metrics', 'params', 'tags'])
			run[kind] = Object.fromEntries(Object.entries(run[kind]).filter(([k]) => kept.has(`${kind}.${k}`)));
	return { total: runs.length, runs: runs.slice(offset, offset + max_results) };
}

async function keys(search) {
	const ids = search.getAll('experiment_id');
	const kind = search.get('kind');
	const q = search.get('q') ?? '';
	let all;
	if (ids[0] === BIG)
		all = kind === 'metrics' ? Array.from({ length: BIG_KEYS }, (_, i) => `group${i % 40}/metric-${i}`) : kind === 'params' ? ['alpha', 'beta', 'depth'] : ['mlflow.user'];
	else
		all = [...new Set((await everyRun(ids)).flatMap((r) => Object.keys(r[kind])))];
	all = all.filter((k) => k.includes(q)).sort();
	return { keys: all.slice(0, Number(search.get('max_results') ?? 200)), total: all.length };
}

async function chart({ run_ids, metric_key, buckets = 320, x_axis = 'step', start = -Infinity, end = Infinity }) {
	const series = [];
	for (const run_id of run_ids) {
		const { metrics = [] } = await mlflow(`metrics/get-history?run_id=${run_id}&metric_key=${encodeURIComponent(metric_key)}`).catch(() => ({}));
		const t0 = metrics[0]?.timestamp ?? 0;
		const points = metrics.map((m) => ({ x: x_axis === 'step' ? Number(m.step ?? 0) : x_axis === 'time' ? Number(m.timestamp) : (Number(m.timestamp) - t0) / 1000, v: m.value })).filter((p) => p.x >= start && p.x <= end);
		const out = { run_id, count: points.length, exact: points.length <= 2 * buckets, x: [], min: [], max: [], mean: [], last: [], n: [] };
		const size = out.exact ? 1 : Math.ceil(points.length / buckets);
		for (let i = 0; i < points.length; i += size) {
			const part = points.slice(i, i + size);
			const numbers = part.map((p) => Number(p.v));
			const say = (x) => (Number.isFinite(x) ? x : String(x));
			out.x.push(part[0].x);
			out.min.push(say(Math.min(...numbers)));
			out.max.push(say(Math.max(...numbers)));
			out.mean.push(say(numbers.reduce((a, b) => a + b, 0) / part.length));
			out.last.push(say(numbers.at(-1)));
			out.n.push(part.length);
		}
		series.push(out);
	}
	return { series };
}

async function groups({ experiment_ids, filter, group_by, metrics = [], run_view_type }) {
	const found = new Map();
	for (const run of await everyRun(experiment_ids, filter, run_view_type)) {
		const key = Object.fromEntries(group_by.map((g) => [g, ofColumn(run, g) ?? null]));
		const id = JSON.stringify(key);
		const group = found.get(id) ?? { key, count: 0, run_ids: [], metrics: {}, runs: [] };
		found.set(id, group);
		group.count++;
		group.run_ids.push(run.info.run_id);
		group.runs.push(run);
	}
	return {
		groups: [...found.values()].map(({ runs, ...group }) => {
			for (const metric of metrics) {
				const v = runs.map((r) => Number(r.metrics[metric])).filter(Number.isFinite);
				if (!v.length)
					continue;
				const mean = v.reduce((a, b) => a + b, 0) / v.length;
				group.metrics[metric] = { mean, std: v.length > 1 ? Math.sqrt(v.reduce((a, b) => a + (b - mean) ** 2, 0) / (v.length - 1)) : 0, min: Math.min(...v), max: Math.max(...v), count: v.length };
			}
			return group;
		}),
	};
}

async function experiments(view_type) {
	const { experiments: list = [] } = await mlflow('experiments/search', { max_results: 1000, view_type: view_type || 'ACTIVE_ONLY' });
	const out = [];
	for (const e of list) {
		const runs = await everyRun([e.experiment_id], '', 'ALL').catch(() => []);
		out.push({ tags: [], ...e, run_count: runs.length, last_run_time: Math.max(0, ...runs.map((r) => r.info.start_time)) || undefined });
	}
	out.push({ experiment_id: BIG, name: 'big/hundred-thousand', artifact_location: 'gs://bucket/big', lifecycle_stage: 'active', creation_time: Date.now() - 1e9, last_update_time: Date.now(), run_count: BIG_RUNS, last_run_time: Date.now(), tags: [] });
	for (let i = 0; i < Number(process.env.FAKE_EXPERIMENTS ?? 0); i++)
		out.push({ experiment_id: String(1_000_000 + i), name: `team-${i % 7}/project-${i % 50}/try-${i}`, artifact_location: 'gs://bucket/x', lifecycle_stage: 'active', creation_time: Date.now() - i * 1e6, last_update_time: Date.now() - i * 1e5, run_count: i % 900, last_run_time: Date.now() - i * 3e5, tags: [] });
	return { experiments: out };
}

function changed(body) {
	let asked = {};
	try {
		asked = JSON.parse(body);
	} catch { /* a form or a file */ }
	const event = { seq: ++seq, experiments: asked.experiment_id ? [String(asked.experiment_id)] : [], runs: asked.run_id ? [asked.run_id] : [] };
	for (const stream of streams)
		stream.write(`event: change\ndata: ${JSON.stringify(event)}\n\n`);
}

async function own(path, url, method, body) {
	const asked = body ? JSON.parse(body) : {};
	if (path === 'info')
		return { version: '1.0.0-fake', schema_version: 1, database: 'embedded', artifact_root: 'mlflow-artifacts:/', workers: 1 };
	if (path === 'experiments')
		return experiments(url.searchParams.get('view_type'));
	if (path === 'experiments/counts')
		return { counts: (await experiments('ALL')).experiments };
	if (path === 'runs/table')
		return table(asked);
	if (path === 'keys')
		return keys(url.searchParams);
	if (path === 'metrics/chart')
		return chart(asked);
	if (path === 'runs/groups')
		return groups(asked);
	if (path === 'views' && method === 'GET')
		return { views: views.filter((v) => v.experiment_id === url.searchParams.get('experiment_id')) };
	if (path === 'views' && method === 'POST') {
		const view = { view_id: String(views.length + 1), ...asked, creation_time: Date.now() };
		views.push(view);
		return { view };
	}
	if (path === 'views' && method === 'DELETE') {
		const at = views.findIndex((v) => v.view_id === asked.view_id);
		if (at >= 0)
			views.splice(at, 1);
		return {};
	}
	throw new Refusal(404, { error_code: 'ENDPOINT_NOT_FOUND', message: `No endpoint ${path}` });
}

createServer(async (req, res) => {
	const url = new URL(req.url, 'http://x');
	if (!url.pathname.startsWith(`${prefix}/`)) {
		res.writeHead(404).end();
		return;
	}
	const path = url.pathname.slice(prefix.length);
	const chunks = [];
	for await (const chunk of req)
		chunks.push(chunk);
	const body = Buffer.concat(chunks);
	try {
		if (process.env.OWN && /^\/((ajax-)?api\/|get-artifact)/.test(path)) {
			const headers = Object.fromEntries(Object.entries(req.headers).filter(([name]) => /^(content-type|range|accept)$/.test(name)));
			const answer = await fetch(upstream + path + url.search, { method: req.method, headers, body: body.length ? body : undefined });
			const kept = Object.fromEntries([...answer.headers].filter(([name]) => /^content-(type|range|disposition)$|^accept-ranges$/.test(name)));
			res.writeHead(answer.status, kept);
			if (answer.body)
				Readable.fromWeb(answer.body).on('error', () => res.destroy()).pipe(res);
			else
				res.end();
			return;
		}
		const mine = /^\/(?:ajax-)?api\/2\.0\/tallyd\/(.*)$/.exec(path);
		if (mine?.[1] === 'live') {
			res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
			res.write(': hello\n\n');
			streams.add(res);
			req.on('close', () => streams.delete(res));
			return;
		}
		if (mine) {
			const answer = JSON.stringify(await own(mine[1], url, req.method, body.toString()));
			res.writeHead(200, { 'Content-Type': 'application/json' }).end(answer);
			return;
		}
		if (path.endsWith('/experiments/get') && url.searchParams.get('experiment_id') === BIG) {
			res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ experiment: { experiment_id: BIG, name: 'big/hundred-thousand', artifact_location: 'gs://bucket/big', lifecycle_stage: 'active', tags: [] } }));
			return;
		}
		if (/^\/((ajax-)?api\/|get-artifact|model-versions\/)/.test(path)) {
			const answer = await fetch(upstream + path + url.search, { method: req.method, headers: { 'Content-Type': req.headers['content-type'] ?? 'application/json', ...(req.headers.range ? { Range: req.headers.range } : {}) }, body: body.length ? body : undefined });
			const bytes = Buffer.from(await answer.arrayBuffer());
			const range = answer.headers.get('content-range');
			/* an HTML artifact is framed by its own address: a policy of its own keeps its scripts in an opaque origin */
			const html = /\.html?$/i.test(url.searchParams.get('path') ?? '');
			const sandbox = url.searchParams.get('view') === '1' ? { ...(html ? { 'Content-Type': 'text/html; charset=utf-8' } : {}), 'Content-Security-Policy': 'sandbox allow-scripts allow-popups' } : {};
			res.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') ?? 'application/octet-stream', 'Content-Length': bytes.length, 'Accept-Ranges': 'bytes', ...(range ? { 'Content-Range': range } : {}), ...sandbox });
			res.end(bytes);
			if (answer.ok && /create|delete|restore|update|log-|set-|rename/.test(path))
				changed(body.toString());
			return;
		}
		if (path.startsWith('/assets/') && existsSync(dist + path)) {
			res.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', 'Cache-Control': 'public, max-age=31536000, immutable' });
			createReadStream(dist + path).pipe(res);
			return;
		}
		const depth = path.split('/').length - 2;
		const page = readFileSync(resolve(dist, depth > 0 ? `index-${Math.min(depth, 4)}.html` : 'index.html'));
		res.writeHead(200, { 'Content-Type': TYPES['.html'], 'Cache-Control': 'no-cache', 'Content-Security-Policy': CSP, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer' }).end(page);
	} catch (error) {
		res.writeHead(error.status ?? 500, { 'Content-Type': 'application/json' }).end(JSON.stringify(error.body ?? { error_code: 'INTERNAL_ERROR', message: String(error) }));
	}
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port}${prefix}/ in front of ${upstream}`));
