"""From a chest radiograph or a brain MRI slice to findings with probabilities."""
