% What is damaged is noticed, set aside, said, and the state before it used. Where none is good: an error, no new start.
1;
function spoil(path, how)
    file = fopen(path, 'r');
    bytes = fread(file, Inf, '*uint8');
    fclose(file);
    file = fopen(path, 'w');
    fwrite(file, how(bytes));
    fclose(file);
end

function bytes = flip(bytes, at)
    bytes(at) = bitxor(bytes(at), 4);
end

function fill(folder)
    ck = outlast.open('every', 0, 'folder', folder);
    s = outlast.load(ck, struct('i', 0, 'x', 1:100, 'y', 'end'));
    for i = 1:3
        s.i = i;
        outlast.tick(ck, s);
    end
end

hows = {@(b) b(1:end - 1), @(b) b([]), @(b) b(1:500), @(b) flip(b, 600), @(b) flip(b, numel(b)), @(b) flip(b, 3), ...
    @(b) [b; 0], @(b) uint8("octave-workspace\n")(:)};
for n = 1:numel(hows)
    folder = sprintf('damage-%d', n);
    fill(folder);
    path = fullfile(folder, dir(fullfile(folder, '3-*.mat')).name);
    spoil(path, hows{n});
    [s, resumed] = outlast.load(outlast.open('folder', folder), struct('i', 0));
    check(resumed && s.i == 2 && isequal(s.x, 1:100), 'damage %d is not noticed', n);
    check(numel(dir(fullfile(folder, 'quarantine', '3-*.mat'))) == 1, 'damage %d is not set aside', n);
end

fill('all');
for entry = dir('all/*.mat')'
    spoil(fullfile('all', entry.name), hows{1});
end
refused('outlast:damage', 'nothing saved in .*all can be restored; it is in quarantine', ...
    @() outlast.load(outlast.open('folder', 'all'), struct('i', 0)));

% A file that the supervisor would have verified: cut between two variables it loads without an error.
outlast_head = struct('format', 1, 'fields', {{'i'}});
state = struct('i', 1);
outlast_end = outlast.internal.end_mark();
save('-binary', 'one.mat', 'outlast_head');
save('-binary', 'two.mat', 'outlast_head', 'state');
state.j = 2;
save('-binary', 'other.mat', 'outlast_head', 'state', 'outlast_end');
save('-binary', 'stranger.mat', 'state');
refused('outlast:damage', 'one.mat is damaged: it was cut off', @() outlast.internal.read('one.mat'));
refused('outlast:damage', 'two.mat is damaged: it was cut off', @() outlast.internal.read('two.mat'));
refused('outlast:damage', 'its fields are not those', @() outlast.internal.read('other.mat'));
refused('outlast:damage', 'no state that outlast saved', @() outlast.internal.read('stranger.mat'));
outlast_head.format = 2;
outlast_head.fields = {'i'; 'j'};
save('-binary', 'newer.mat', 'outlast_head', 'state', 'outlast_end');
refused('outlast:upgrade', 'format 2', @() outlast.internal.read('newer.mat'));
printf('all held\n');
