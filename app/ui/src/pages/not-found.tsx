/* No page has this address. */
import { Empty } from '../components/bits';
import { href, path } from '../state/url';

export default function NotFound() {
	return <div class="page"><Empty title="No page has this address"><p><code>{path.value}</code> names nothing here. <a href={href('/experiments')}>See all experiments</a>.</p></Empty></div>;
}
