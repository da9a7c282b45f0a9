// The walk of the npm package `mlflow`, which is not the project's own.
import { createRequire } from 'node:module'
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'

const MLflow = createRequire(import.meta.url)('mlflow')
const { Experiments, Runs, Metrics, Artifacts } = new MLflow({ endpoint: process.env.TALLYD_URL })
const name = 'npm' + randomUUID().slice(0, 8)
let passed = 0
let failed = 0

async function step(title, work) {
	try {
		await work()
		passed++
		console.log('ok   ' + title)
	} catch (reason) {
		failed++
		console.log('FAIL ' + title + ': ' + (reason?.stack ?? reason))
	}
}

const { experiment_id } = await Experiments.create({ name })
let run_id

await step('experiments: list, get, update, tag, delete, restore', async () => {
	const { experiments } = await Experiments.list()
	assert(experiments.some((e) => e.experiment_id === experiment_id))
	assert.equal((await Experiments.get({ experiment_id })).experiment.name, name)
	await Experiments.update({ experiment_id, new_name: name + ' new' })
	await Experiments.setExperimentTag({ experiment_id, key: 'team', value: 'red' })
	await Experiments.delete({ experiment_id })
	await Experiments.restore({ experiment_id })
})
await step('runs: create, log, batch, tags', async () => {
	run_id = (await Runs.create({ experiment_id, start_time: 1600000000000 })).run.info.run_id
	await Runs.logParameter({ run_id, key: 'alpha', value: '0.5' })
	for (let i = 0; i < 20; i++) await Runs.logMetric({ run_id, key: 'loss', value: 1 / (i + 1), timestamp: 1600000000000 + i, step: i })
	await Runs.setTag({ run_id, key: 'team', value: 'red' })
	await Runs.logBatch({ run_id, metrics: [{ key: 'b', value: 2, timestamp: 1600000000000, step: 0 }], params: [{ key: 'p', value: '1' }], tags: [{ key: 't', value: 'x' }] })
	const { run } = await Runs.get({ run_id })
	assert.equal(run.data.params.length, 2)
	assert.equal(run.data.metrics.find((m) => m.key === 'b').value, 2)
	await Runs.deleteTag({ run_id, key: 't' })
	await Runs.update({ run_id, status: 'FINISHED', end_time: 1600000001000 })
})
await step('metrics: history', async () => {
	const history = await Metrics.getHistory({ run_id, metric_key: 'loss' })
	assert.equal((history.metrics ?? history).length, 20)
})
await step('runs: search, delete, restore', async () => {
	const { runs } = await Runs.search({ experiment_ids: [experiment_id], filter: "params.alpha = '0.5'" })
	assert.equal(runs.length, 1)
	await Runs.delete({ run_id })
	await Runs.restore({ run_id })
})
await step('artifacts: list', async () => {
	const listed = await Artifacts.list({ run_id })
	assert(listed.root_uri)
})
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
