/* Everything an experiment carries, to read and to change. */
import { experimentDeleteTag, experimentGet, experimentSetTag } from '../api/experiments';
import { Ago, Failure, Loading, Note, tagOf, Tags } from './bits';
import { CopyLine } from './copy';
import { Dialog } from './dialog';
import { useLoad } from './load';

export default function About({ id, onClose }: { id: string; onClose: () => void }) {
	const e = useLoad((abort) => experimentGet(id, abort), [id]);
	const x = e.data;
	const after = (p: Promise<unknown>) => p.then(e.reload);
	return (
		<Dialog title="Experiment" wide onClose={onClose}>
			{e.error ? <Failure error={e.error} retry={e.reload} /> : !x ? <Loading /> : (
				<>
					<table class="kv"><tbody>
						<tr><th>Name</th><td>{x.name}</td></tr>
						<tr><th>Experiment id</th><td><CopyLine text={x.experiment_id} label="experiment id" /></td></tr>
						<tr><th>Artifact Location</th><td><CopyLine text={x.artifact_location} label="artifact location" /></td></tr>
						<tr><th>Created</th><td><Ago ms={x.creation_time} /></td></tr>
						<tr><th>Changed</th><td><Ago ms={x.last_update_time} /></td></tr>
						<tr><th>Tags</th><td><Tags tags={x.tags} onSet={(k, v) => after(experimentSetTag(id, k, v))} onDelete={(k) => after(experimentDeleteTag(id, k))} /></td></tr>
					</tbody></table>
					<h3>Description</h3>
					<Note text={tagOf(x.tags, 'mlflow.note.content')} what="description" onSave={(text) => after(experimentSetTag(id, 'mlflow.note.content', text))} />
				</>
			)}
		</Dialog>
	);
}
