// Writes faceapi.json: what face-api's own runtime computes for two fixed pictures, in levels of 0 to 255.
//
//   npm install @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0 --ignore-scripts
//   NODE_PATH=node_modules node faceapi.cjs > faceapi.json
//
// Pictures, value of channel c at row y, column x: (x + 2 y + 40 c) mod 256, and (7919 i) mod 256 with i the index in
// row, column, channel order.
const path = require('path');

const root = path.dirname(require.resolve('@vladmandic/face-api/package.json'));
const api = require(path.join(root, 'dist/face-api.node-wasm.js'));
const SIDE = 150;

function picture(value) {
  const values = new Float32Array(SIDE * SIDE * 3);
  for (let y = 0, i = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) {
      for (let c = 0; c < 3; c += 1, i += 1) values[i] = value(x, y, c, i);
    }
  }
  return api.tf.tensor4d(values, [1, SIDE, SIDE, 3]);
}

(async () => {
  await api.tf.setBackend('cpu');
  await api.tf.ready();
  await api.nets.faceRecognitionNet.loadFromDisk(path.join(root, 'model'));
  const pictures = [
    picture((x, y, c) => (x + 2 * y + 40 * c) % 256),
    picture((x, y, c, i) => (7919 * i) % 256),
  ];
  const rows = [];
  for (const image of pictures) {
    const result = await api.nets.faceRecognitionNet.computeFaceDescriptor(image);
    rows.push(Array.from(Array.isArray(result) ? result[0] : result));
  }
  process.stdout.write(`${JSON.stringify(rows)}\n`);
})();
