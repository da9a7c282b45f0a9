/* The files of a run or of a logged model, one folder at a time, folders first. */
import { get } from './client';
import type { ArtifactOwner, FileInfo } from './types';

interface Listing {
	root_uri?: string;
	files?: FileInfo[];
}

export function artifactList(owner: ArtifactOwner, path: string, abort?: AbortSignal): Promise<FileInfo[]> {
	const answer = owner.model_id
		? get<Listing>(`mlflow/logged-models/${owner.model_id}/artifacts/directories`, { artifact_directory_path: path }, abort)
		: get<Listing>('mlflow/artifacts/list', { run_id: owner.run_id, path }, abort);
	return answer.then((a) => [...(a.files ?? [])].sort((x, y) => Number(y.is_dir) - Number(x.is_dir) || (x.path < y.path ? -1 : 1)));
}
