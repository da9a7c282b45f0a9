/* Steps of the browser walk for the artifact viewers: each kind of file is put through the server, opened, and must show what it
   holds. run.mjs calls this with a page that notes errors: check(truth, words) fails the step. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FIXTURES = join(import.meta.dirname, 'fixtures');
const LINES = 100_000;
const LARGE = 400;

/* file, viewer, words that must be on the page */
const FILES = [
	['train.py', 'text', ['5 lines', 'mlflow.log_param']],
	['conf.yaml', 'text', ['alpha:']],
	['tree.json', 'json', ['outer', 'inner']],
	['rows.csv', 'csv', ['2 rows', 'a, quoted']],
	['table.parquet', 'parquet', ['50 rows', 'row 49']],
	['notes.md', 'markdown', ['Title of notes', '<script>']],
	['book.ipynb', 'notebook', ['Heading of book', 'print(1 + 1)', 'cell of html']],
	['map.geojson', 'geo', ['2 shapes', 'longitude 8.000 to 9.000']],
	['matrix.npy', 'numpy', ['(3, 4)', '0 to 11']],
	['arrays.npz', 'numpy', ['2 arrays']],
	['pack.zip', 'zip', ['1 file', 'in/side.txt', '300 B']],
	['MLmodel', 'mlmodel', ['sklearn 1.9.1', 'town', 'mlflow.pyfunc.load_model', 'mlflow.sklearn.load_model']],
	['picture.png', 'image', ['30 × 20']],
	['picture.webp', 'image', ['30 × 20']],
	['picture.svg', 'image', ['40 × 40']],
	['picture.tiff', 'tiff', ['30 × 20']],
	['weights.bin', 'hex', ['First 512 bytes', '00 01 02 03']],
];

export default async function viewers(page, BASE, check) {
	const call = async (method, path, body, type = 'application/json') => {
		const answer = await fetch(`${BASE}api/2.0/${path}`, { method, headers: { 'Content-Type': type }, body });
		const text = await answer.text();
		if (!answer.ok)
			throw new Error(`${path}: ${answer.status} ${text.slice(0, 300)}`);
		return text ? JSON.parse(text) : {};
	};
	const post = (path, body) => call('POST', path, JSON.stringify(body));
	const { experiment_id } = await post('mlflow/experiments/create', { name: `browser-test/viewers-${Date.now()}` });
	const { run } = await post('mlflow/runs/create', { experiment_id, run_name: 'files', start_time: Date.now() });
	const { run_id, artifact_uri } = run.info;
	const folder = artifact_uri.replace(/^mlflow-artifacts:(\/\/[^/]*)?\//, '');
	const put = (name, bytes) => call('PUT', `mlflow-artifacts/artifacts/${folder}/${name}`, bytes, 'application/octet-stream');
	for (const name of [...FILES.map((f) => f[0]), 'report.html', 'page.pdf', 'tone.wav'])
		await put(name, readFileSync(join(FIXTURES, name)));
	await put('long.log', 'one line of a long log that goes on\n'.repeat(LINES));
	await put('empty.txt', '');
	await put('large.csv', `name,number\n${'a row of a large table,1\n'.repeat(LINES / 2)}`);
	const matrix8 = Buffer.alloc(128 + 8 * LARGE * LARGE);
	matrix8.write(`\x93NUMPY\x01\x00\x76\x00${`{'descr': '<f8', 'fortran_order': False, 'shape': (${LARGE}, ${LARGE}), }`.padEnd(117)}\n`, 'latin1');
	matrix8.writeDoubleLE(42, 128);
	await put('large.npy', matrix8);

	const open = async (name, viewer) => {
		await page.goto(`${BASE}experiments/${experiment_id}/compare?runs=${run_id}&tab=artifacts&file=${name}`);
		const view = page.locator(`.view[data-viewer="${viewer}"]`);
		await view.waitFor();
		return view;
	};
	for (const [name, viewer, words] of FILES) {
		const view = await open(name, viewer);
		for (const word of words)
			await view.getByText(word).first().waitFor();
		check((await view.getByRole('link', { name: 'Download' }).getAttribute('href')).includes(encodeURIComponent(name)), `${name} can be downloaded`);
	}
	check((await page.title()).includes('run by') === false, 'no script of an artifact ran in the page');

	/* Highlighting, and a matrix as a picture. */
	const code = await open('train.py', 'text');
	await code.locator('.tok.keyword', { hasText: 'def' }).waitFor();
	const matrix = await open('matrix.npy', 'numpy');
	await matrix.getByRole('button', { name: 'As a picture' }).click();
	await matrix.getByRole('img', { name: /Matrix of 3 by 4/ }).waitFor();
	const book = await open('book.ipynb', 'notebook');
	check((await book.locator('.out td').getAttribute('onclick')) === null, 'an output of a notebook is purified');

	/* A page is shown in a sandbox: its script runs and reaches nothing. */
	const html = await open('report.html', 'html');
	await html.frameLocator('iframe').getByText('script ran and reached nothing').waitFor();
	await open('page.pdf', 'pdf');
	await page.locator('iframe[src^="blob:"]').waitFor();
	const sound = await open('tone.wav', 'audio');
	await sound.locator('audio').waitFor();
	await page.waitForFunction(() => document.querySelector('audio')?.readyState >= 1);

	/* A long file is read in part and says so; an empty one is no error. */
	const long = await open('long.log', 'text');
	await long.getByText('First 2.0 MB of 3.6 MB shown').waitFor();
	await long.getByText('First 5,000 of').waitFor();
	/* Large files are worked on in a worker. */
	for (const [name, viewer, word] of [['large.csv', 'csv', '50,000 rows'], ['large.npy', 'numpy', '42']]) {
		const [worker] = await Promise.all([page.waitForEvent('worker', { predicate: (w) => w.url().includes('task.worker') }), open(name, viewer)]);
		check(worker.url().startsWith(BASE), `${name} is read by a worker`);
		await page.locator(`.view[data-viewer="${viewer}"]`).getByText(word).first().waitFor();
	}
	/* The run's own page: a folder's pictures, a picture beside a text, a file that is not there. */
	const beside = async (path) => {
		await page.goto(`${BASE}runs/${run_id}/artifacts?path=${encodeURIComponent(path)}`);
		return page.locator('.art-view');
	};
	for (const step of [10, 2])
		for (const end of ['.png', '+compressed.webp'])
			await put(`images/samples+step+${step}+timestamp+1700000000000+0a1b${end}`, readFileSync(join(FIXTURES, end === '.png' ? 'picture.png' : 'picture.webp')));
	await put('images/notes.md', '![seen](../picture.png) and [rows](../rows.csv)');
	const album = await beside('images');
	await album.getByText('samples, step 2').waitFor();
	check((await album.locator('.art-pics span').allTextContents()).join('; ') === 'samples, step 2; samples, step 10', 'pictures in order of their steps, small copies left out');
	await page.waitForFunction(() => [...document.querySelectorAll('.art-pics img')].every((i) => i.naturalWidth > 0));
	await album.getByText('samples, step 10').click();
	await page.locator('.view[data-viewer="image"]').waitFor();
	await page.goBack();
	await album.locator('.art-row', { hasText: 'notes.md' }).click();
	await page.waitForFunction(() => document.querySelector('.md img')?.naturalWidth > 0);
	await album.getByRole('link', { name: 'rows' }).click();
	await page.locator('.view[data-viewer="csv"]').waitFor();
	await (await beside('nope/missing.txt')).getByText('No such file').waitFor();

	const none = await open('empty.txt', 'empty');
	await none.getByText('The file is empty').waitFor();
	await post('mlflow/experiments/delete', { experiment_id });
}
