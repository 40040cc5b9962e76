#!/bin/bash
#SBATCH --job-name=late

set -euo pipefail
#SBATCH --requeue  # <- J7
#SBATCH --time=02:00:00  # <- J7
cat > inner.sh <<'EOF'
#!/bin/bash
#SBATCH --time=01:00:00
EOF
srun python train.py
