% What a program sees that keeps its states by itself.
1;
function s = steps(ck, s, to)
    for i = s.i + 1:to
        s.i = i;
        s.x = s.x + rand();
        outlast.tick(ck, s);
    end
end

begin = struct('i', 0, 'x', 0);
undisturbed = 0;
rand('twister', 11);
for i = 1:10
    undisturbed = undisturbed + rand();
end

% Saves at every boundary, keeps two, resumes, ends; a second program has nothing to do, a longer one goes on.
rand('twister', 11);
ck = outlast.open('every', 0, 'keep', 2);
s = steps(ck, outlast.load(ck, begin), 6);
check(isequal(sort({dir('.outlast/*.mat').name}), sort({dir('.outlast/5-*.mat').name, dir('.outlast/6-*.mat').name})), ...
    'not the two newest are kept');
rand('twister', 12);
ck = outlast.open('every', '1h');
[s, resumed] = outlast.load(ck, begin);
check(resumed && s.i == 6, 'not resumed at 6');
s = steps(ck, s, 10);
check(s.x == undisturbed, 'another result than undisturbed');
check(isempty(dir('.outlast/10-*.mat')), 'saved, and was not due');
s.result = 'only known after the loop';
outlast.done(ck, s);
check(numel(dir('.outlast/10-*.mat')) == 1 && exist('.outlast/done', 'file') == 2, 'the end is not saved');
ck = outlast.open();
[s, resumed] = outlast.load(ck, begin);
check(resumed && s.i == 10 && strcmp(s.result, 'only known after the loop'), 'not resumed at the end');
before = sort({dir('.outlast').name});
outlast.done(ck, s);
check(isequal(before, sort({dir('.outlast').name})), 'what was done is saved again');
ck = outlast.open('every', 0);
s = steps(ck, outlast.load(ck, begin), 12);
check(exist('.outlast/done', 'file') == 0, 'still marked done, while it goes on');
outlast.done(ck, s);
check(numel(dir('.outlast/13-*.mat')) == 1, 'the state at the end is not saved as a later one than the last tick''s');

% What a kill left is removed, what is not ours is not.
for name = {'new-123.mat', 'stop', 'save', 'notes.txt', '14', 'x-15.mat', 'octave-workspace'}
    fclose(fopen(fullfile('.outlast', name{1}), 'w'));
end
i = 99;
save('-text', 'octave-workspace', 'i');
copyfile('octave-workspace', '.outlast/16-octave-workspace.mat');
ck = outlast.open('every', '1h');
s = outlast.load(ck, begin);
check(s.i == 12, 'something else than the newest state was loaded');
names = {dir('.outlast').name};
check(~any(ismember({'new-123.mat', 'stop', 'save'}, names)), 'left over, and not removed');
check(all(ismember({'notes.txt', '14', 'x-15.mat', 'octave-workspace'}, names)), 'removed, and not ours');

% Asked to save.
fclose(fopen('.outlast/save', 'w'));
s.i = 13;
outlast.tick(ck, s);
check(exist('.outlast/save', 'file') == 0 && numel(dir('.outlast/14-*.mat')) == 1, 'asked to save, and it did not');

% Who asks for a save while one is made is asked for another one.
function s = ask_again(s)
    fclose(fopen('.outlast/save', 'w'));
end
fclose(fopen('.outlast/save', 'w'));
outlast.tick(ck, s);
ck = outlast.open('every', '1h');
s = outlast.load(ck, begin);
fclose(fopen('.outlast/save', 'w'));
s.i = 15;
outlast.tick(ck, @() ask_again(s));
check(exist('.outlast/save', 'file') == 2, 'a request made during a save was taken for the one before it');
delete('.outlast/save');

% The clock is set back by an hour, and it looks all the same.
ck.clock = ck.clock + uint64(3600e6);
live = outlast.internal.live();
live.clock = ck.clock;
outlast.internal.live(live);
fclose(fopen('.outlast/save', 'w'));
outlast.tick(ck, s);
check(exist('.outlast/save', 'file') == 0, 'a clock that was set back keeps it from looking');

% A function that makes the state is called only if it is saved, and before the generators are looked at.
function s = made(s)
    s.x = rand();
end
ck = outlast.open('every', '1h', 'folder', 'lazy');
s = outlast.load(ck, begin);
outlast.tick(ck, @() error('called, and not needed'));
outlast.done(ck, @() made(s));
expected = rand();
s = outlast.load(outlast.open('folder', 'lazy'), begin);
check(s.x > 0 && rand() == expected, 'the generators were saved before the state was made');

% A folder with a blank and a quote, below one that does not exist, named from another place; and job arrays.
folder = fullfile(pwd(), 'a b', 'it''s');
ck = outlast.open('every', 0, 'folder', fullfile('a b', 'it''s'));
here = pwd();
mkdir('elsewhere');
cd('elsewhere');
steps(ck, outlast.load(ck, begin), 1);
cd(here);
check(numel(dir(fullfile(folder, '1-*.mat'))) == 1, 'the folder moved with cd');
setenv('SLURM_ARRAY_TASK_ID', '0');
ck = outlast.open();
check(strcmp(ck.folder, fullfile(here, '.outlast', 'task-0')), 'a task of a job array without its own folder');
setenv('SLURM_ARRAY_TASK_ID', '');
setenv('SGE_TASK_ID', 'undefined');
ck = outlast.open();
check(strcmp(ck.folder, fullfile(here, '.outlast')), 'not the usual folder');

% A digest of pieces, and one without a digest.
file = fopen('long', 'w');
fwrite(file, zeros(64 * 1024 * 1024 + 1, 1, 'uint8'));
fclose(file);
whole = outlast.internal.digest('long');
check(strcmp(whole, hash('md5', [hash('md5', repmat("\0", 1, 64 * 1024 * 1024)), hash('md5', "\0")])), 'digest of pieces');
check(strcmp(outlast.internal.digest('long', 'length1'), 'length67108865'), 'no length where there is no digest');
fclose(fopen('nothing', 'w'));
check(strcmp(outlast.internal.digest('nothing'), hash('md5', '')), 'digest of nothing');
% The program clears what it can: the steps go on (and this file's own functions are gone).
ck = outlast.open('every', '1h', 'folder', 'cleared');
s = outlast.load(ck, begin);
outlast.tick(ck, s);
clear -functions
clear -global
s.i = 15;
outlast.tick(ck, s);
outlast.done(ck, s);
s = outlast.load(outlast.open('folder', 'cleared'), begin);
check(s.i == 15 && numel(dir('cleared/*.mat')) == 1, 'not the last state');
printf('all held\n');
