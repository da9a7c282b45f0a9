/* The theme, what the server says of itself, how to connect, the keys. */
import { useState } from 'preact/hooks';
import { get, root } from '../api/client';
import { Failure } from '../components/bits';
import { Code, CopyLine } from '../components/copy';
import { KeyList } from '../components/keys';
import { useLoad } from '../components/load';
import { setTheme, themeChosen, type Theme } from '../state/theme';

interface Info {
	version: string;
	schema_version: number | string;
	mlflow_version?: string;
	artifact_root: string;
	artifacts_destination?: string;
	database?: 'embedded' | 'external';
	workers: number;
}

export default function Settings() {
	const [theme, choose] = useState<Theme>(themeChosen());
	const info = useLoad((abort) => get<Info>('tallyd/info', {}, abort), []);
	const address = root.replace(/\/$/, '');
	document.title = 'Settings · tallyd';
	return (
		<div class="page">
			<h1>Settings</h1>
			<div class="cols">
				<section class="card stack"><h2>Theme</h2>
					<div class="seg" role="group" aria-label="Theme">
						{(['system', 'light', 'dark'] as const).map((t) => <button key={t} type="button" class="btn" aria-pressed={theme === t} onClick={() => { setTheme(t); choose(t); }}>{t === 'system' ? 'As the system' : t === 'light' ? 'Light' : 'Dark'}</button>)}
					</div>
					<p class="muted small">Kept in this browser only.</p>
				</section>
				<section class="card stack"><h2>Server</h2>
					{info.error ? <Failure error={info.error} retry={info.reload} /> : (
						<table class="kv"><tbody>
							<tr><th>Version</th><td>{info.data?.version}</td></tr>
							<tr><th>Schema</th><td>{info.data?.schema_version}</td></tr>
							<tr><th>Speaks as MLflow</th><td>{info.data?.mlflow_version}</td></tr>
							<tr><th>Artifact root</th><td>{info.data && <CopyLine text={info.data.artifact_root} label="artifact root" />}</td></tr>
							{info.data?.artifacts_destination && <tr><th>Artifacts kept in</th><td><CopyLine text={info.data.artifacts_destination} label="artifacts destination" /></td></tr>}
							{info.data?.database && <tr><th>Database</th><td>{info.data.database === 'embedded' ? 'Embedded: a PostgreSQL of its own in the data folder' : 'External PostgreSQL'}</td></tr>}
							<tr><th>Workers</th><td>{info.data?.workers}</td></tr>
						</tbody></table>
					)}
				</section>
			</div>
			<section class="card stack"><h2>Log to this server</h2><Code text={`import mlflow\n\nmlflow.set_tracking_uri("${address}")\nmlflow.set_experiment("team/project/first")\n\nwith mlflow.start_run():\n    mlflow.log_param("alpha", 0.5)\n    mlflow.log_metric("rmse", 0.79)`} /></section>
			<section class="card stack"><h2>Keys</h2><KeyList /></section>
		</div>
	);
}
