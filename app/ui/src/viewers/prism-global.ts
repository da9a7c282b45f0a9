import './prism-start';
import Prism from 'prismjs';

(globalThis as { Prism?: unknown }).Prism = Prism;
export default Prism;
