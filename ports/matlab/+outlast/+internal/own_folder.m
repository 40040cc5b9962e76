function folder = own_folder()
%OWN_FOLDER  Where states are kept when alone and no folder is named. A task of a job array is a run of its own.
    folder = '.outlast';
    for name = {'SLURM_ARRAY_TASK_ID', 'PBS_ARRAY_INDEX', 'SGE_TASK_ID', 'LSB_JOBINDEX'}
        task = getenv(name{1});
        none = isempty(task) || strcmp(task, 'undefined') || (strcmp(task, '0') && ~strncmp(name{1}, 'SLURM', 5));
        if ~none
            folder = fullfile('.outlast', ['task-' task]);
            return
        end
    end
end
