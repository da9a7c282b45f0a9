/* The files of a run and of its models: a tree read folder by folder, the viewer beside it. */
import { useEffect, useState } from 'preact/hooks';
import { artifactUrl, get, post, zipUrl } from '../api/client';
import { artifactList } from '../api/artifacts';
import { num, type ArtifactOwner, type FileInfo, type LoggedModel, type RegisteredModel, type Run } from '../api/types';
import { Empty, Failure, Loading } from '../components/bits';
import { Code, CopyLine } from '../components/copy';
import { ask } from '../components/dialog';
import { Icon } from '../components/icon';
import { lazy } from '../components/lazy';
import { useLoad } from '../components/load';
import { say } from '../components/toast';
import { bytes, count, plural } from '../format';
import { go, param, setQuery } from '../state/url';

const Artifact = lazy<{ run: ArtifactOwner; path: string; size: number }>(() => import('../viewers/index').then((m) => ({ default: m.Artifact })));


export default function Artifacts({ run, models }: { run: Run; models: LoggedModel[] }) {
	const at = param('path');
	const model = param('model');
	const own: ArtifactOwner = { run_id: run.info.run_id };
	const owner: ArtifactOwner = model.value ? { ...own, model_id: model.value } : own;
	const top = useLoad((abort) => artifactList(own, '', abort), [run.info.run_id]);
	const [info, setInfo] = useState<Record<string, FileInfo>>({});
	const known = (id: string, files: FileInfo[]) => setInfo((old) => ({ ...old, ...Object.fromEntries(files.map((f) => [`${id}:${f.path}`, f])) }));
	const chosen = info[`${model.value}:${at.value}`];
	const open = (id: string, path: string) => setQuery({ path: path || null, model: id || null }, true);
	useEffect(() => { if (top.data) known('', top.data); }, [top.data]);

	/* a link may name a file in a folder that is not listed yet */
	const folder = useLoad((abort) => (at.value && !chosen ? artifactList(owner, at.value.split('/').slice(0, -1).join('/'), abort) : Promise.resolve([])), [model.value, at.value, !!chosen]);
	useEffect(() => { if (folder.data?.length) known(model.value, folder.data); }, [folder.data]);
	const missing = !!at.value && !chosen && !!folder.data && !folder.loading && !folder.data.some((f) => f.path === at.value);

	if (top.error)
		return <Failure error={top.error} retry={top.reload} />;
	if (!top.data)
		return <Loading what="Listing artifacts" />;
	if (top.data.length === 0 && models.length === 0 && !model.value)
		return <Empty title="No artifacts in this run"><p>Files, figures, tables and models are kept beside the numbers:</p><Code text={`with mlflow.start_run(run_id="${run.info.run_id}"):\n    mlflow.log_artifact("model.pkl")\n    mlflow.log_dict({"alpha": 0.5}, "config.json")`} /></Empty>;
	return (
		<div class="art">
			<nav class="art-tree" aria-label="Files">
				{top.data.length > 0 && models.length > 0 && <div class="art-label">Run</div>}
				<Tree owner={own} id="" files={top.data} at={model.value ? '' : at.value} depth={0} onOpen={open} onKnown={known} />
				{models.length > 0 && <div class="art-label">Models</div>}
				{models.map((m) => <ModelRoot key={m.info.model_id} run_id={run.info.run_id} model={m} at={model.value === m.info.model_id ? at.value : null} onOpen={open} onKnown={known} />)}
			</nav>
			<div class="art-view">
				{missing ? <Empty title="No such file"><p><b class="wrap">{at.value}</b> is not among the artifacts of this run{model.value ? '\'s model' : ''}. <button type="button" class="btn small" onClick={() => open(model.value, '')}>Show what there is</button></p></Empty>
					: at.value && !chosen && folder.error ? <div class="art-show"><Failure error={folder.error} retry={folder.reload} /></div>
					: at.value || model.value ? <Shown owner={owner} onOpen={(path) => open(model.value, path)} path={at.value} info={chosen} run={run} model={models.find((m) => m.info.model_id === model.value)} />
					: <><div class="art-bar"><b>All artifacts</b><span class="grow" /><ZipButton owner={own} path="" name={run.info.run_name || run.info.run_id} /></div>
						<div class="art-show"><p class="muted">Choose a file to look at it.</p><p class="row"><span class="muted">Artifact Location</span> {run.info.artifact_uri && <CopyLine text={run.info.artifact_uri} label="artifact location" />}</p></div></>}
			</div>
		</div>
	);
}

interface TreeProps {
	owner: ArtifactOwner;
	id: string;
	files: FileInfo[];
	at: string;
	depth: number;
	onOpen(id: string, path: string): void;
	onKnown(id: string, files: FileInfo[]): void;
}

function Tree(props: TreeProps) {
	return <ul>{props.files.map((f) => <Leaf key={f.path} {...props} file={f} />)}</ul>;
}

function Leaf({ file: f, ...props }: TreeProps & { file: FileInfo }) {
	const inside = props.at === f.path || props.at.startsWith(`${f.path}/`);
	const [open, setOpen] = useState(inside && f.is_dir);
	const files = useLoad((abort) => (open ? artifactList(props.owner, f.path, abort) : Promise.resolve(undefined)), [open, f.path]);
	useEffect(() => { if (files.data) props.onKnown(props.id, files.data); }, [files.data]);
	useEffect(() => { if (inside && f.is_dir && props.at !== f.path) setOpen(true); }, [props.at]);
	return (
		<li>
			<button type="button" class="art-row" style={{ paddingLeft: `${8 + props.depth * 16}px` }} aria-current={props.at === f.path} aria-expanded={f.is_dir ? open : undefined} onClick={() => { if (f.is_dir) setOpen(props.at === f.path ? !open : true); props.onOpen(props.id, f.path); }}>
				{f.is_dir ? <Icon name={open ? 'down' : 'right'} /> : null}<Icon name={f.is_dir ? 'folder' : 'file'} /><span class="grow clip" title={f.path}>{f.path.split('/').at(-1)}</span>
				{!f.is_dir && f.file_size !== undefined && <span class="muted">{bytes(num(f.file_size))}</span>}
			</button>
			{open && (files.error ? <Failure error={files.error} retry={files.reload} /> : files.data ? <Tree {...props} files={files.data} depth={props.depth + 1} /> : null)}
		</li>
	);
}

function ModelRoot({ run_id, model, at, onOpen, onKnown }: { run_id: string; model: LoggedModel; at: string | null; onOpen: TreeProps['onOpen']; onKnown: TreeProps['onKnown'] }) {
	const id = model.info.model_id;
	const owner = { run_id, model_id: id };
	const [open, setOpen] = useState(at !== null);
	const files = useLoad((abort) => (open ? artifactList(owner, '', abort) : Promise.resolve(undefined)), [open, id]);
	useEffect(() => { if (files.data) onKnown(id, files.data); }, [files.data]);
	return (
		<>
			<button type="button" class="art-row" aria-expanded={open} aria-current={at === ''} onClick={() => { setOpen(at === '' ? !open : true); onOpen(id, ''); }}><Icon name={open ? 'down' : 'right'} /><Icon name="box" /><span class="grow clip">{model.info.name ?? id}</span></button>
			{open && (files.error ? <Failure error={files.error} retry={files.reload} /> : files.data ? <Tree owner={owner} id={id} files={files.data} at={at ?? ''} depth={1} onOpen={onOpen} onKnown={onKnown} /> : null)}
		</>
	);
}

function Shown({ owner, path, info, run, model, onOpen }: { owner: ArtifactOwner; path: string; info: FileInfo | undefined; run: Run; model: LoggedModel | undefined; onOpen(path: string): void }) {
	const isFolder = info ? info.is_dir : path === '';
	const inside = useLoad((abort) => (isFolder ? artifactList(owner, path, abort) : Promise.resolve(undefined)), [owner.model_id, path, isFolder]);
	const mlmodel = inside.data?.find((f) => f.path.split('/').at(-1) === 'MLmodel');
	const title = path || model?.info.name || 'All artifacts';
	return (
		<>
			{isFolder && <div class="art-bar"><b>{title}</b><span class="grow" />
				{mlmodel && <button type="button" class="btn small primary" onClick={() => register(run, owner, path, model)}>Register model</button>}
				<ZipButton owner={owner} path={path} name={path.split('/').at(-1) || model?.info.name || run.info.run_id} />
			</div>}
			<div class="art-show">
				{isFolder
					? mlmodel ? <Artifact key={mlmodel.path} run={owner} path={mlmodel.path} size={num(mlmodel.file_size)} />
						: inside.error ? <Failure error={inside.error} retry={inside.reload} /> : inside.data && <Folder key={path} owner={owner} files={inside.data} onOpen={onOpen} />
					: info && <Artifact key={`${owner.model_id}:${path}`} run={owner} path={path} size={num(info.file_size)} />}
				{!isFolder && !info && <Loading />}
			</div>
		</>
	);
}

/* What log_image() calls its files: key, step, time, an id; beside each picture lies a small one. */
const LOGGED = /^(.+)[+%]step[+%](\d+)[+%]timestamp[+%]\d+[+%][^+%]+$/;
const SMALL = /[+%]compressed\.webp$/;
const PICTURE = /\.(png|jpe?g|gif|webp|svg|bmp|avif)$/i;
const PICTURES = 60;
const NAMED = 500;

/* A folder: its pictures to look through, the rest by name. */
function Folder({ owner, files, onOpen }: { owner: ArtifactOwner; files: FileInfo[]; onOpen(path: string): void }) {
	const [shown, setShown] = useState(PICTURES);
	const name = (f: FileInfo) => f.path.split('/').at(-1)!;
	const small = new Map(files.filter((f) => SMALL.test(f.path)).map((f) => [f.path.replace(SMALL, ''), f.path]));
	const pictures = files.filter((f) => !f.is_dir && PICTURE.test(f.path) && !(SMALL.test(f.path) && files.some((o) => o.path === f.path.replace(SMALL, '.png')))).map((file) => {
		const [, key = '', step = ''] = LOGGED.exec(name(file)) ?? [];
		return { file, key, step: Number(step), words: key ? `${key}, step ${count(Number(step))}` : name(file), src: `${artifactUrl(owner, small.get(file.path.replace(/\.\w+$/, '')) ?? file.path)}&view=1` };
	}).sort((a, b) => (a.key === b.key ? a.step - b.step : a.key < b.key ? -1 : 1));
	const rest = files.filter((f) => f.is_dir || !PICTURE.test(f.path));
	if (files.length === 0)
		return <p class="muted">This folder is empty.</p>;
	return (
		<>
			{pictures.length > 0 && <div class="art-pics">{pictures.slice(0, shown).map((p) => <button type="button" key={p.file.path} title={name(p.file)} onClick={() => onOpen(p.file.path)}><img src={p.src} alt="" loading="lazy" /><span class="clip">{p.words}</span></button>)}</div>}
			{pictures.length > shown && <p><button type="button" class="btn small" onClick={() => setShown(shown + PICTURES)}>More pictures</button> <span class="muted small">{count(shown)} of {count(pictures.length)} shown</span></p>}
			{rest.slice(0, NAMED).map((f) => <button type="button" class="art-row" key={f.path} onClick={() => onOpen(f.path)}><Icon name={f.is_dir ? 'folder' : 'file'} /><span class="grow clip">{name(f)}</span>{!f.is_dir && f.file_size !== undefined && <span class="muted">{bytes(num(f.file_size))}</span>}</button>)}
			{rest.length > NAMED && <p class="muted small">The first {NAMED} of {plural(rest.length, 'file')} are listed here, all of them in the tree.</p>}
		</>
	);
}

function ZipButton({ owner, path, name }: { owner: ArtifactOwner; path: string; name: string }) {
	return <a class="btn small" data-server href={zipUrl(owner, path)} download={`${name}.zip`}><Icon name="download" />Download as zip</a>;
}

function register(run: Run, owner: ArtifactOwner, path: string, model: LoggedModel | undefined): void {
	void get<{ registered_models?: RegisteredModel[] }>('mlflow/registered-models/search', { max_results: 200 }).catch(() => ({ registered_models: [] })).then(({ registered_models = [] }) => ask({
		title: 'Register the model',
		text: 'A name that exists gets a new version; a new name makes a new model.',
		fields: [{ name: 'name', label: 'Model name', required: true, options: registered_models.map((m) => m.name) }],
		action: 'Register',
		run: async (v) => {
			const name = (v['name'] ?? '').trim();
			if (!registered_models.some((m) => m.name === name))
				await post('mlflow/registered-models/create', { name });
			const source = model ? `models:/${model.info.model_id}` : `${run.info.artifact_uri}/${path}`;
			const made = await post<{ model_version: { version: string } }>('mlflow/model-versions/create', { name, source, run_id: run.info.run_id, model_id: owner.model_id });
			say(`Registered as version ${made.model_version.version}`);
			go(`/models/${encodeURIComponent(name)}/${made.model_version.version}`);
		},
	}));
}
