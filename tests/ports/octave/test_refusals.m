% What cannot be saved, or is a mistake, is refused by its name; what stands is not touched by it.
refused('outlast:usage', 'no option ''evry''; there are every, keep, folder', @() outlast.open('evry', 1));
refused('outlast:usage', 'in pairs', @() outlast.open('every'));
refused('outlast:usage', 'every is a number of seconds.*it is ''soon''', @() outlast.open('every', 'soon'));
refused('outlast:usage', 'it is -1', @() outlast.open('every', -1));
refused('outlast:usage', 'it is NaN', @() outlast.open('every', NaN));
refused('outlast:usage', 'keep is a whole number', @() outlast.open('keep', 0));
refused('outlast:usage', 'it is 1.5', @() outlast.open('keep', 1.5));
refused('outlast:usage', 'folder is a path', @() outlast.open('folder', 3));
check(outlast.internal.seconds('10min') == 600 && outlast.internal.seconds('0.5 h') == 1800, 'times are misread');
check(outlast.internal.seconds('2d') == 172800 && outlast.internal.seconds(1.5) == 1.5, 'times are misread');

ck = outlast.open('every', 0);
refused('outlast:state', 'scalar struct, not double', @() outlast.load(ck, [1 2]));
refused('outlast:state', 'scalar struct', @() outlast.load(ck, struct('a', {1, 2})));
refused('outlast:state', 's.model.loss is a function handle', ...
    @() outlast.load(ck, struct('model', struct('loss', @(x) x))));
refused('outlast:state', 's.a\(2\).f\{3\} is an object \(containers.Map\)', ...
    @() outlast.load(ck, struct('a', struct('f', {1, {1, 2, containers.Map()}}))));
refused('outlast:usage', 'call .*outlast.load\(ck, s0\) before', @() outlast.tick(ck, struct()));
refused('outlast:usage', 'what outlast.open returned', @() outlast.load(struct('i', 1), struct()));

s = outlast.load(ck, struct('i', 0, 'x', 1));
s.i = 1;
outlast.tick(ck, s);
s.f = @sin;
refused('outlast:state', 's.f is a function handle', @() outlast.tick(ck, s));
newer = outlast.open();
refused('outlast:usage', 'another one was opened since', @() outlast.done(ck));
refused('outlast:fit', 'step 1 lacks y, z, which this program begins with; it has i, x', ...
    @() outlast.load(newer, struct('y', 1, 'i', 0, 'z', 0)));
s = outlast.load(newer, struct('i', 0));
check(s.i == 1, 'the state saved before is not there');
outlast.done(newer);
refused('outlast:usage', 'it is done', @() outlast.done(newer));
check(numel(dir('.outlast/*.mat')) == 1 && exist('.outlast/done', 'file') == 2, 'what stands was touched');

% Two programs in one folder.
first = outlast.open('every', 0, 'folder', 'shared');
s = outlast.load(first, struct('i', 0));
outlast.tick(first, s);
copyfile(fullfile('shared', dir('shared/1-*.mat').name), 'shared/5-00000000000000000000000000000000.mat');
refused('outlast:write', 'another program saves in .*shared: it has saved step 5', @() outlast.tick(first, s));

% A dimension that Octave writes and cannot read back.
refused('outlast:state', 's.huge has a dimension beyond', @() outlast.internal.inspect(struct('huge', sparse(2^31, 1))));
refused('outlast:state', 's.c\{2\}.huge has a dimension beyond', ...
    @() outlast.internal.inspect(struct('c', {{1, struct('huge', sparse(2^31, 1))}})));
printf('all held\n');
