function train()
%TRAIN  A convolutional network in a training loop of one's own, that goes on where it was: network, optimizer, schedule,
%   the order of the epoch and the random numbers are in the state.
%   In its folder: matlab -batch train; below `outlast run` it outlasts the jobs it runs in.
%
%   Needs Deep Learning Toolbox, R2019b or later, and uses a GPU where there is one. (Written by the documentation: it was
%   not run. The same loop in plain M-code, examples/octave-digits, is run in the tests.)
%   On a GPU cuDNN may choose other algorithms at each start: the result is then the same to the last bit only after
%   deep.gpu.deterministicAlgorithms(true), which R2024b has brought.
here = fileparts(mfilename('fullpath'));
addpath(fullfile(here, '..', '..', 'ports', 'matlab'));

EPOCHS = 30;
BATCH = 128;
rng(7);
[x, labels] = digitTrain4DArrayData();
[x_test, labels_test] = digitTest4DArrayData();
y = one_hot(labels);
y_test = one_hot(labels_test);
batches = floor(size(x, 4) / BATCH);

net = fresh_net();
average = [];                       % Adam's two moments
square = [];
s = pack(0, net, average, square, [], struct('rate', 1e-3, 'best', Inf, 'waited', 0));

ck = outlast.open();
[s, resumed] = outlast.load(ck, s);
if resumed                          % into the network that this program has made
    net.Learnables = unpack(s.learnables, net.Learnables);
    net.State = unpack(s.state, net.State);
    average = unpack(s.average, net.Learnables);
    square = unpack(s.square, net.Learnables);
end
order = s.order;
schedule = s.schedule;

for i = s.i + 1:EPOCHS * batches
    at = mod(i - 1, batches);
    if at == 0
        order = randperm(size(x, 4));
    end
    chosen = order(at * BATCH + (1:BATCH));
    [~, slopes, net.State] = dlfeval(@loss_of, net, on_device(x(:, :, :, chosen)), y(:, chosen));
    [net, average, square] = adamupdate(net, slopes, average, square, i, schedule.rate);
    if at == batches - 1
        loss = validation_loss(net, x_test, y_test);
        schedule = next_rate(schedule, loss);
        fprintf('epoch %d: loss %.4f, rate %g\n', i / batches, loss, schedule.rate);
    end
    % Called only if it is saved: until then nothing is copied from the GPU.
    outlast.tick(ck, @() pack(i, net, average, square, order, schedule));
end
final = pack(EPOCHS * batches, net, average, square, order, schedule);
save('network.mat', '-struct', 'final', 'learnables', 'state');   % results before done
outlast.done(ck, final);
end

function net = fresh_net()
net = dlnetwork(layerGraph([
    imageInputLayer([28 28 1], 'Normalization', 'none', 'Name', 'in')
    convolution2dLayer(5, 20, 'Name', 'conv1')
    batchNormalizationLayer('Name', 'norm1')
    reluLayer('Name', 'relu1')
    maxPooling2dLayer(2, 'Stride', 2, 'Name', 'pool1')
    convolution2dLayer(3, 32, 'Padding', 'same', 'Name', 'conv2')
    batchNormalizationLayer('Name', 'norm2')
    reluLayer('Name', 'relu2')
    fullyConnectedLayer(10, 'Name', 'out')
    softmaxLayer('Name', 'softmax')]));
end

function [loss, slopes, state] = loss_of(net, x, y)
[chance, state] = forward(net, x);
loss = crossentropy(chance, y);
slopes = dlgradient(loss, net.Learnables);
end

function loss = validation_loss(net, x, y)
loss = double(in_memory(crossentropy(predict(net, on_device(x)), y)));
end

function schedule = next_rate(schedule, loss)
%NEXT_RATE  Half the rate after three epochs without a better loss. Such a schedule has a memory: it is in the state.
if loss < schedule.best
    schedule.best = loss;
    schedule.waited = 0;
else
    schedule.waited = schedule.waited + 1;
end
if schedule.waited == 3
    schedule.rate = schedule.rate / 2;
    schedule.waited = 0;
end
end

function x = on_device(x)
x = dlarray(single(x), 'SSCB');
if canUseGPU()
    x = gpuArray(x);
end
end

function y = one_hot(labels)
y = single(double(labels(:)') == (1:10)');
end

function s = pack(i, net, average, square, order, schedule)
%PACK  The state as plain arrays: it is saved fast, can be read without the toolbox, and loads into any release.
s = struct('i', i, 'order', order, 'schedule', schedule);
s.learnables = plain(net.Learnables);
s.state = plain(net.State);
s.average = plain(average);
s.square = plain(square);
end

function arrays = plain(parameters)
%PLAIN  The values of a table of parameters, in memory; {} where there is no table yet.
arrays = {};
if ~isempty(parameters)
    arrays = cellfun(@in_memory, parameters.Value, 'UniformOutput', false);
end
end

function value = in_memory(value)
if isa(value, 'dlarray')
    value = extractdata(value);
end
if isa(value, 'gpuArray')
    value = gather(value);
end
end

function parameters = unpack(arrays, like)
%UNPACK  A table of parameters like another one, with these values; [] where there was none.
parameters = [];
if ~isempty(arrays)
    parameters = like;
    for n = 1:numel(arrays)
        if isa(like.Value{n}, 'dlarray')
            parameters.Value{n} = dlarray(arrays{n});
        else
            parameters.Value{n} = arrays{n};
        end
    end
end
end
