function ck = open(varargin)
%OPEN  Take part in a run: begin with this.
%   ck = outlast.open()
%   ck = outlast.open('every', '10min', 'keep', 3, 'folder', '.outlast')
%
%   Below `outlast run --store STORE` the supervisor decides when to save, and keeps and verifies what was saved; the
%   options mean nothing then. Otherwise ("alone") this port keeps its files by itself:
%
%   every   time between two saves: a number of seconds (0: at every step boundary), or like '30s', '10min', '2h'
%   keep    how many states are kept
%   folder  where they are kept; in a job array .outlast/task-N if it is not given
%
%   One run at a time: what was opened before is closed by it.
%   See also outlast.load, outlast.tick, outlast.done.
    global OUTLAST_LOOK_S
    OUTLAST_LOOK_S = 0;
    options = outlast.internal.options(varargin);
    control = getenv('OUTLAST_CONTROL');
    folder = getenv('OUTLAST_SAVE');
    supervised = ~isempty(control) && ~isempty(folder);
    if supervised
        options.every_s = Inf;
    else
        folder = outlast.internal.absolute(options.folder);
    end
    outlast.internal.make_folder(folder);  % below the supervisor, this says: I save files, and want no signals
    asking = control;
    if isempty(control)
        asking = folder;
    end
    ck = struct('clock', tic(), 'folder', folder, 'control', control, 'supervised', supervised, ...
        'stop', fullfile(asking, 'stop'), 'request', fullfile(asking, 'save'), ...
        'every_s', options.every_s, 'keep', options.keep, 'octave', outlast.internal.is_octave());
    if ~supervised
        outlast.internal.settle_alone(ck);
    end
    outlast.internal.no_dumps(ck);
    outlast.internal.live(struct('clock', ck.clock, 'base', 0, 'saved', -1, 'saved_at_s', 0, 'looked_at_s', 0, ...
        'loaded', false, 'finished', false));
end
