/* The arrays of an .npy or .npz file by name; a text instead of an array says why it cannot be read. */
import { unzipSync } from 'fflate';
import { readNpy, type NumpyArray } from '../npy';

export default function numpy({ bytes, zipped }: { bytes: Uint8Array; zipped: boolean }): Record<string, NumpyArray | string> {
	if (!zipped)
		return { '': readNpy(bytes) };
	const arrays: Record<string, NumpyArray | string> = {};
	for (const [name, one] of Object.entries(unzipSync(bytes)))
		try {
			arrays[name.replace(/\.npy$/, '')] = readNpy(one);
		} catch (error) {
			arrays[name] = (error as Error).message;
		}
	return arrays;
}
