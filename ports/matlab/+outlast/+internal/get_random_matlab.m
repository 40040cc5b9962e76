function random = get_random_matlab()
%GET_RANDOM_MATLAB  The global stream, with all that makes it up, and the GPU's where there is one.
%   Not the streams of parallel workers, nor RandStream objects of the program's own: put their State into the state.
    random = struct('rng', rng(), 'stream', [], 'gpu', []);
    if ~strcmpi(random.rng.Type, 'legacy')
        stream = RandStream.getGlobalStream();
        random.stream = struct('Type', stream.Type, 'Seed', stream.Seed, 'NumStreams', stream.NumStreams, ...
            'StreamIndex', stream.StreamIndex, 'Substream', stream.Substream, ...
            'NormalTransform', stream.NormalTransform, 'Antithetic', stream.Antithetic, ...
            'FullPrecision', stream.FullPrecision, 'State', stream.State);
    end
    if exist('gpurng', 'file') && gpuDeviceCount() > 0
        random.gpu = gpurng();
    end
end
