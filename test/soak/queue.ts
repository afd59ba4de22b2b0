/** The SQS endpoint in a process of its own, so that it can be frozen, and takes no time from what measures it. */
import { startQueueServer } from '../../bin/local/queue-server.ts';

// Whoever started it has gone.
process.on('disconnect', () => process.exit());
const { endpointUrl } = await startQueueServer();
process.send!(endpointUrl);
