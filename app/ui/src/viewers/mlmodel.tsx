/* MLmodel: what the model takes and gives, what it was made with, and the code to load it. */

import { load } from 'js-yaml';
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Code } from '../components/copy';
import { Bar, folderOf, part, sizeWord, Status, TEXT_MAX, textOf, useFile, type ViewerProps } from './frame';
import { Lines } from './text';

interface MLmodel {
	flavors?: Record<string, Record<string, unknown>>;
	signature?: { inputs?: string | null; outputs?: string | null; params?: string | null };
	model_id?: string;
	model_uuid?: string;
	run_id?: string;
	mlflow_version?: string;
	model_size_bytes?: number;
	utc_time_created?: string;
	saved_input_example_info?: { artifact_path?: string };
}

interface Field {
	name: string;
	type: string;
	required: string;
}

/* A schema is JSON text: columns, tensors, or params with a default. */
function fields(text: string | null | undefined): Field[] {
	if (!text) return [];
	const list = JSON.parse(text) as {
		name?: string;
		type?: string;
		required?: boolean;
		optional?: boolean;
		default?: unknown;
		'tensor-spec'?: { dtype: string; shape: number[] };
		properties?: object;
		items?: object;
	}[];
	return list.map((f, i) => ({
		name: f.name ?? (list.length > 1 ? `(${i + 1})` : '(unnamed)'),
		type: f['tensor-spec']
			? `tensor ${f['tensor-spec'].dtype} (${f['tensor-spec'].shape.join(', ')})`
			: (f.type ?? '') + (f.properties || f.items ? ` ${JSON.stringify(f.properties ?? f.items)}` : ''),
		required: f.default !== undefined ? `default ${JSON.stringify(f.default)}` : f.required === false || f.optional ? 'optional' : '',
	}));
}

export default function Model(props: ViewerProps): JSX.Element {
	const [source, setSource] = useState(false);
	const state = useFile(props, (abort) => part(props.run, props.path, 0, TEXT_MAX, abort));
	const text = useMemo(() => (state.value ? textOf(state.value) : ''), [state.value]);
	const model = useMemo((): { m?: MLmodel; why?: string; inputs: Field[]; outputs: Field[]; params: Field[] } => {
		try {
			const m = load(text) as MLmodel;
			if (!m || typeof m !== 'object') throw new Error('it is not a mapping');
			return { m, inputs: fields(m.signature?.inputs), outputs: fields(m.signature?.outputs), params: fields(m.signature?.params) };
		} catch (error) {
			return { why: (error as Error).message, inputs: [], outputs: [], params: [] };
		}
	}, [text]);
	if (!state.value) return <Status of={state} />;
	const m = model.m;
	if (!m || source)
		return (
			<>
				{m ? (
					<Bar>
						<button type="button" class="btn small quiet on" aria-pressed onClick={() => setSource(false)}>
							Source
						</button>
					</Bar>
				) : (
					<p class="notice warn">This MLmodel file could not be read: {model.why}. Shown as text.</p>
				)}
				<Lines text={text} language="yaml" />
			</>
		);

	const folder = folderOf(props.path);
	/* A logged model has its own address; older clients keep it below the run. */
	const uri =
		(m.model_id ?? props.run.model_id) ? `models:/${m.model_id ?? props.run.model_id}` : `runs:/${m.run_id ?? props.run.run_id}/${folder}`;
	const flavors = Object.entries(m.flavors ?? {});
	const own = flavors.map(([name]) => name).filter((name) => name !== 'python_function');
	const python = m.flavors?.['python_function'];
	const input = exampleOf(model.inputs);
	return (
		<>
			<Bar>
				<button type="button" class="btn small quiet" aria-pressed={false} onClick={() => setSource(true)}>
					Source
				</button>
			</Bar>
			<table class="kv">
				<tbody>
					<tr>
						<th>Flavors</th>
						<td>
							{flavors.map(([name, f]) => `${name === 'python_function' ? 'pyfunc' : name}${versionOf(name, f)}`).join(', ') || 'none'}
						</td>
					</tr>
					{m.mlflow_version && (
						<tr>
							<th>Logged with</th>
							<td>
								MLflow {m.mlflow_version}
								{python?.['python_version'] ? `, Python ${String(python['python_version'])}` : ''}
							</td>
						</tr>
					)}
					{m.utc_time_created && (
						<tr>
							<th>Created</th>
							<td>{m.utc_time_created} UTC</td>
						</tr>
					)}
					{m.model_size_bytes ? (
						<tr>
							<th>Size</th>
							<td>{sizeWord(Number(m.model_size_bytes))}</td>
						</tr>
					) : null}
					{m.model_id && (
						<tr>
							<th>Model</th>
							<td class="num">{m.model_id}</td>
						</tr>
					)}
				</tbody>
			</table>
			<h3>Signature</h3>
			{model.inputs.length + model.outputs.length + model.params.length ? (
				<div class="cols">
					<Fields title="Inputs" list={model.inputs} />
					<Fields title="Outputs" list={model.outputs} />
					{model.params.length > 0 && <Fields title="Parameters" list={model.params} />}
				</div>
			) : (
				<p class="muted">
					None was logged. Give <code>signature=infer_signature(X, y)</code> or <code>input_example=X[:5]</code> to log_model, and inputs
					are checked when the model is used.
				</p>
			)}
			{m.flavors?.['python_function'] && (
				<>
					<h3>Predict in Python</h3>
					<Code text={`import mlflow\n${input.imports}\nmodel = mlflow.pyfunc.load_model("${uri}")\n${input.data}model.predict(data)\n`} />
				</>
			)}
			{own
				.filter((name) => /^[a-z_][\w]*$/i.test(name))
				.map((name) => (
					<div key={name}>
						<h3>Load as {name}</h3>
						<Code text={`import mlflow\n\nmodel = mlflow.${name}.load_model("${uri}")\n`} />
					</div>
				))}
			<h3>Serve it</h3>
			<Code text={`mlflow models serve -m "${uri}" --port 5001 --env-manager uv\n`} />
		</>
	);
}

function versionOf(name: string, flavor: Record<string, unknown>): string {
	const v = flavor[`${name}_version`] ?? flavor[`${name === 'sklearn' ? 'sklearn' : name}_version`];
	return v ? ` ${String(v)}` : '';
}

function exampleOf(inputs: Field[]): { imports: string; data: string } {
	const named = inputs.filter((f) => !f.name.startsWith('('));
	if (!named.length) return { imports: '', data: 'data = ...\n' };
	const one = (f: Field) =>
		`    "${f.name}": [${/string/.test(f.type) ? '"text"' : /bool/.test(f.type) ? 'True' : /int|long/.test(f.type) ? '1' : '0.5'}],\n`;
	return {
		imports: 'import pandas as pd\n',
		data: `data = pd.DataFrame({\n${named.slice(0, 40).map(one).join('')}${named.length > 40 ? '    ...\n' : ''}})\n`,
	};
}

function Fields(props: { title: string; list: Field[] }): JSX.Element {
	return (
		<div>
			<h3>{props.title}</h3>
			{props.list.length ? (
				<table class="plain">
					<thead>
						<tr>
							<th>Name</th>
							<th>Type</th>
							<th />
						</tr>
					</thead>
					<tbody>
						{props.list.slice(0, 200).map((f) => (
							<tr key={f.name}>
								<td class="wrap">{f.name}</td>
								<td class="mono wrap">{f.type}</td>
								<td class="muted">{f.required}</td>
							</tr>
						))}
					</tbody>
				</table>
			) : (
				<p class="muted">none</p>
			)}
		</div>
	);
}
