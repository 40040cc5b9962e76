function put_random_matlab(random)
%PUT_RANDOM_MATLAB  The global stream as it was made, at the place where it stood; the GPU's where it was saved.
    old = random.stream;
    if isempty(old)
        rng(random.rng);
    else
        stream = RandStream.create(old.Type, 'NumStreams', old.NumStreams, 'StreamIndices', old.StreamIndex, ...
            'Seed', old.Seed, 'NormalTransform', old.NormalTransform);
        stream.Antithetic = old.Antithetic;
        stream.FullPrecision = old.FullPrecision;
        if old.Substream ~= 1
            stream.Substream = old.Substream;
        end
        stream.State = old.State;
        RandStream.setGlobalStream(stream);
    end
    if ~isempty(random.gpu)
        gpurng(random.gpu);
    end
end
