function train()
%TRAIN  A small convolutional network learns handwritten digits, in plain M-code: it runs in Octave and in MATLAB.
%   In its folder: octave-cli --eval train, or matlab -batch train; below `outlast run` it goes on where it was, to the last bit.
%   EPOCHS (an environment variable) says how long.
here = fileparts(mfilename('fullpath'));
warning('off', 'Octave:shadowed-function');  % Octave says so of outlast.load, which shadows nothing
addpath(fullfile(here, '..', '..', 'ports', 'matlab'));

BATCH = 64;
epochs = 40;
if ~isempty(getenv('EPOCHS'))
    epochs = str2double(getenv('EPOCHS'));
end
[x, y, x_test, y_test] = digits(fullfile(here, 'digits.mat'));
batches = floor(size(x, 2) / BATCH);

seed(7);
s = struct('i', 0, 'loss', NaN, 'order', []);
s.net = fresh_net();
s.speed = cellfun(@(w) zeros(size(w)), s.net, 'UniformOutput', false);

ck = outlast.open();
[s, resumed] = outlast.load(ck, s);
for i = s.i + 1:epochs * batches
    at = mod(i - 1, batches);
    if at == 0
        s.order = randperm(size(x, 2));                     % the order of an epoch is a part of the state
    end
    chosen = s.order(at * BATCH + (1:BATCH));
    noisy = x(:, chosen) + 0.1 * randn(size(x, 1), BATCH);  % so are the random numbers
    [s.loss, slopes] = network(s.net, noisy, y(chosen));
    rate = 0.1 * 0.97 ^ floor((i - 1) / batches);           % a schedule that follows from the counter needs no place in it
    for n = 1:numel(s.net)
        s.speed{n} = 0.9 * s.speed{n} - rate * slopes{n};
        s.net{n} = s.net{n} + s.speed{n};
    end
    s.i = i;
    outlast.tick(ck, s);                                    % the counter is set: here the state is whole
    if at == batches - 1 && mod(i / batches, 10) == 0
        fprintf('epoch %d: loss %.4f\n', i / batches, s.loss);
    end
end
[~, ~, scores] = network(s.net, x_test, y_test);
[~, found] = max(scores);
s.right = mean(found == y_test);
write_weights(s.net, 'weights.bin');                        % results before done: after it, it is not started again
outlast.done(ck, s);
fprintf('%.1f %% of %d digits right\n', 100 * s.right, numel(y_test));
end

function [x, y, x_test, y_test] = digits(path)
%DIGITS  Columns of 64 grey values from -1 to 1, and the classes 1 to 10; the last 300 are the test.
data = load(path);
all_x = double(data.pixels) / 8 - 1;
all_y = double(data.digit) + 1;
last = size(all_x, 2) - 300;
x = all_x(:, 1:last);
y = all_y(1:last);
x_test = all_x(:, last + 1:end);
y_test = all_y(last + 1:end);
end

function seed(number)
%SEED  The same random numbers each time; in Octave, rand and randn have a generator each.
if exist('OCTAVE_VERSION', 'builtin')
    rand('twister', number);
    randn('twister', number);
else
    rng(number);
end
end

function net = fresh_net()
%FRESH_NET  Weights and biases: 8 filters of 3 x 3, then a layer from their 8 x 36 values to 10 classes.
net = {randn(8, 9) / 3, zeros(8, 1), randn(10, 288) / 17, zeros(10, 1)};
end

function [loss, slopes, scores] = network(net, x, y)
%NETWORK  The loss, its derivatives by the weights, and the scores of each class.
count = size(x, 2);
patches = reshape(x(patch_places(), :), 9, []);             % 9 x (36 places x images)
maps = max(net{1} * patches + net{2}, 0);                   % 8 x (36 x images)
flat = reshape(maps, 288, count);
scores = net{3} * flat + net{4};
chance = exp(scores - max(scores));
chance = chance ./ sum(chance);
right = sub2ind(size(chance), y, 1:count);
loss = -mean(log(chance(right)));
error_out = chance;
error_out(right) = error_out(right) - 1;
error_out = error_out / count;
error_maps = reshape(net{3}' * error_out, 8, []) .* (maps > 0);
slopes = {error_maps * patches', sum(error_maps, 2), error_out * flat', sum(error_out, 2)};
end

function places = patch_places()
%PATCH_PLACES  For each of the 6 x 6 places of a 3 x 3 filter, the nine pixels below it; one after the other.
[row, column] = ndgrid(0:5, 0:5);
[down, right] = ndgrid(1:3, 1:3);
places = (down(:) + row(:)') + 8 * (right(:) + column(:)' - 1);
places = places(:);
end

function write_weights(net, path)
file = fopen(path, 'w');
for n = 1:numel(net)
    fwrite(file, net{n}, 'double');
end
fclose(file);
end
