import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';

const upgrader = new Upgrader({ trustProxy: '127.0.0.1' });

upgrader.route('/whoami', { beforeUpgrade: (_request, { site }) => site }, (socket) => {
  const { address, scheme, host } = socket.data;
  socket.send(`${address} by ${scheme} to ${host}`);
});

upgrader.attach(createServer().listen(8080, '127.0.0.1'));
