% The five random generators go on exactly, wherever they are interrupted.
1;
function x = draws()
    x = [rand(1, 3), randn(1, 3), rande(1, 3), randg(1.5, 1, 3), randp(4, 1, 3), randi(1000, 1, 3), randperm(5), ...
        double(rand(1, 3, 'single')), double(randn(1, 3, 'single')), randg(0.3), randp(1e9)];
end

outlast.load(outlast.open('folder', 'none'), struct());  % the generators as Octave seeds them by the time
places = [0, 1, 2, 311, 312, 313, 623, 624, 625, 1248, floor(linspace(3, 3000, 8))];
for kind = {'rand', 'randn', 'rande', 'randg', 'randp'}
    draw = struct('rand', @() rand(), 'randn', @() randn(), 'rande', @() rande(), 'randg', @() randg(0.7), ...
        'randp', @() randp(3)).(kind{1});
    for place = places
        folder = sprintf('%s-%d', kind{1}, place);
        for n = 1:place
            draw();
        end
        outlast.internal.write('state.mat', struct(), struct('format', 1, 'fields', {cell(0, 1)}, ...
            'random', outlast.internal.get_random()), true);
        expected = draws();
        draws();
        [~, head] = outlast.internal.read('state.mat');
        outlast.internal.put_random(head.random);
        check(isequal(draws(), expected), 'after %d draws of %s', place, kind{1});
    end
end

% They are put back by load, and only by it.
rand('twister', 7);
ck = outlast.open('every', 0);
s = outlast.load(ck, struct('i', 0));
outlast.tick(ck, s);
expected = draws();
ck = outlast.open();
check(~isequal(draws(), expected), 'open has put the generators back');
outlast.load(ck, struct('i', 0));
check(isequal(draws(), expected), 'load has not put the generators back');

% Octave's old generators cannot be saved; whoever uses them is told at the start.
for kind = {'rand', 'randn'}
    feval(kind{1}, 'seed', 5);
    ck = outlast.open('every', 0, 'folder', 'old');
    refused('outlast:state', 'old generators', @() outlast.load(ck, struct()));
    feval(kind{1}, 'twister', 5);
end
printf('all held\n');
