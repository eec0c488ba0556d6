"""From returned answers to clean data: checks, outliers, careless answers, missing answers, and a log of what was done."""
