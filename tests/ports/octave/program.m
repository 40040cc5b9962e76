% A computation whose result tells of any step left out, done twice, or done with other random numbers.
%   octave-cli program.m STEPS EVERY_S SIZE PAUSE_S
% With EVERY_S = 0 a line `saved N X` follows each step that is saved for certain. SIZE numbers are saved besides.
warning('off', 'Octave:shadowed-function');
here = fileparts(mfilename('fullpath'));
addpath(fullfile(here, '..', '..', '..', 'ports', 'matlab'));
arguments = str2double(argv()(end - 3:end));
number = arguments(1);
for kind = {'rand', 'randn', 'rande', 'randg', 'randp'}
    feval(kind{1}, 'twister', 5);
end

ck = outlast.open('every', arguments(2));
[s, resumed] = outlast.load(ck, struct('i', 0, 'x', 0, 'filler', zeros(arguments(3), 1)));
printf('begins at %d\n', s.i);
fflush(stdout);
for i = s.i + 1:number
    s.x = mod(s.x * 3 + rand() + randn() + rande() + randg(2) + randp(3), 1000);
    s.filler(:) = i;
    s.i = i;
    outlast.tick(ck, s);
    printf('saved %d %.17g\n', i, s.x);
    fflush(stdout);
    pause(arguments(4));
end
check_all = all(s.filler == number) && numel(s.filler) == arguments(3);
outlast.done(ck, s);
printf('result %.17g %d\n', s.x, check_all);
